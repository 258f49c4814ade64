"""The table of docs/reference/llb.md: what each name of Go's client/llb is in pyllb.

A place is `function` or `function(parameter)`, a method of FS being `FS.method`. Tests hold each to be there, and the
table to have every name that client/llb exports.
"""

from __future__ import annotations

import inspect

import pyllb

_COPY = "copy(include) copy(exclude) copy(required) copy(follow_symlinks) copy(contents_only) copy(unpack)"
_COPY += " copy(create_dest) copy(wildcard) copy(allow_empty_wildcard) copy(always_replace)"
_PLATFORM = "FS.platform FS.run(platform) image(platform) dump(platform)"

OPTIONS: dict[str, str] = {
    # sources
    "Scratch": "fs",
    "Image": "image FS.image",
    "MarkImageInternal": "image(internal)",
    "ResolveDigest": "image(resolve_digest)",
    "ResolveMode": "image(resolve_mode)",
    "WithImageChecksum": "image(checksum)",
    "WithLayerLimit": "image(layer_limit)",
    "WithMetaResolver": "dump(resolver)",
    "ImageBlob": "image_blob FS.image_blob",
    "OCILayoutBlob": "oci_layout_blob FS.oci_layout_blob",
    "ImageBlobOCIStore": "oci_layout_blob(store) oci_layout_blob(session)",
    "OCILayout": "oci_layout FS.oci_layout",
    "OCIStore": "oci_layout(store) oci_layout(session)",
    "OCILayerLimit": "oci_layout(layer_limit)",
    "Local": "local FS.local",
    "IncludePatterns": "local(include)",
    "ExcludePatterns": "local(exclude)",
    "FollowPaths": "local(follow)",
    "SharedKeyHint": "local(shared_key)",
    "Differ": "local(differ) local(differ_required)",
    "MetadataOnlyTransfer": "local(metadata_only) local(metadata_except)",
    "SessionID": "local(session)",
    "LocalUniqueID": "local(unique_id) dump(local_unique_id)",
    "Git": "git FS.git",
    "GitRef": "git(ref)",
    "GitSubDir": "git(subdir)",
    "GitSkipSubmodules": "git(submodules)",
    "GitMTime": "git(mtime)",
    "GitMTimeCommit": "git(mtime)",
    "GitAdvice": "git(advice)",
    "GitChecksum": "git(checksum)",
    "GitFetchByCommit": "git(fetch_by_commit)",
    "GitBundleURL": "git(bundle)",
    "GitBundleOCIStore": "git(bundle_store) git(bundle_session)",
    "GitCheckoutBundle": "git(checkout_bundle)",
    "KeepGitDir": "git(keep_git_dir)",
    "AuthTokenSecret": "git(auth_token_secret)",
    "AuthHeaderSecret": "git(auth_header_secret) http(auth_secret)",
    "KnownSSHHosts": "git(known_hosts)",
    "MountSSHSock": "git(ssh_id)",
    "HTTP": "http FS.http",
    "Checksum": "http(checksum)",
    "Filename": "http(filename) image_blob(filename)",
    "Chmod": "http(mode) image_blob(mode)",
    "Chown": "http(owner) image_blob(owner)",
    "Header": "http(accept) http(user_agent)",
    "VerifyPGPSignature": "http(pgp_key) http(pgp_signature)",
    "NewDefinitionOp": "definition FS.definition",
    # states
    "AddEnv": "FS.env FS.run(env)",
    "Dir": "FS.dir FS.run(dir)",
    "User": "FS.user FS.run(user)",
    "Hostname": "FS.hostname FS.run(hostname)",
    "Network": "FS.network FS.run(network)",
    "Security": "FS.security FS.run(security)",
    "AddUlimit": "FS.ulimit FS.run(ulimits)",
    "AddExtraHost": "FS.extra_host FS.run(extra_hosts)",
    "WithCgroupParent": "FS.cgroup_parent FS.run(cgroup_parent)",
    "With": "FS.with_",
    "Reset": "FS.reset",
    "Marshal": "dump",
    "SetMarshalDefaults": "dump(constraints)",
    "WithCaps": "dump(sets_default_path)",
    # exec
    "Run": "FS.run",
    "Args": "FS.run(command)",
    "ValidExitCodes": "FS.run(ok_codes)",
    "ReadonlyRootFS": "FS.run(readonly_root)",
    "WithProxy": "FS.run(proxy) proxy",
    "AddCDIDevice": "FS.run(devices)",
    "CDIDeviceName": "FS.run(devices)",
    "CDIDeviceOptional": "FS.run(devices)",
    "AddMount": "FS.run(mounts) bind",
    "GetMount": "FS.mount",
    "Root": "FS.run",
    "Readonly": "bind(readonly) cache(readonly)",
    "SourcePath": "bind(selector) cache(selector)",
    "ForceNoOutput": "bind(no_output)",
    "ContentCache": "bind(content_cache) cache(content_cache)",
    "AsPersistentCacheDir": "cache cache(sharing)",
    "Tmpfs": "tmpfs",
    "TmpfsSize": "tmpfs(size)",
    "AddSecret": "secret",
    "AddSecretWithDest": "secret(target)",
    "SecretID": "secret(id)",
    "SecretOptional": "secret(optional)",
    "SecretFileOpt": "secret(uid) secret(gid) secret(mode)",
    "SecretAsEnv": "secret(env)",
    "SecretAsEnvName": "secret(env)",
    "AddSSHSocket": "ssh",
    "SSHID": "ssh(id)",
    "SSHOptional": "ssh(optional)",
    "SSHSocketOpt": "ssh(target) ssh(uid) ssh(gid) ssh(mode)",
    "SSHSocketTarget": "ssh(target)",
    # file
    "File": "FS.file",
    "Mkdir": "mkdir FS.mkdir",
    "WithParents": "mkdir(parents)",
    "Mkfile": "mkfile FS.mkfile",
    "Symlink": "symlink FS.symlink",
    "Rm": "rm FS.rm",
    "WithAllowNotFound": "rm(allow_not_found)",
    "WithAllowWildcard": "rm(allow_wildcard)",
    "Copy": f"copy FS.copy {_COPY}",
    "WithState": "chain",
    "WithExcludePatterns": "copy(exclude)",
    "WithUser": "mkdir(owner) mkfile(owner) symlink(owner) copy(owner)",
    "WithUIDGID": "mkdir(owner) mkfile(owner) symlink(owner) copy(owner)",
    "ChmodOpt": "copy(mode)",
    "WithCreatedTime": "mkdir(created) mkfile(created) symlink(created) copy(created)",
    # graph
    "Merge": "merge",
    "Diff": "diff",
    "Requires": "FS.requires",
    "NewPassthrough": "passthrough passthrough(outputs)",
    "Build": "FS.solve_definition",
    "WithFilename": "FS.solve_definition(filename)",
    "WithConstraints": "FS.solve_definition(platform) FS.solve_definition(name)",
    # constraints
    **dict.fromkeys(("Platform", "LinuxAmd64", "LinuxArm", "LinuxArmhf", "LinuxArmel", "LinuxArm64"), _PLATFORM),
    **dict.fromkeys(("LinuxS390x", "LinuxPpc64", "LinuxPpc64le", "LinuxRiscv64", "Darwin", "Windows"), _PLATFORM),
    "Require": "FS.run(filters) constraints(filters)",
    "IgnoreCache": "FS.run(ignore_cache) constraints(ignore_cache)",
    "WithDescription": "FS.run(description) constraints(description)",
    "WithCustomName": "FS.run(name) local(custom_name)",
    "WithExportCache": "FS.run(export_cache)",
    "WithoutExportCache": "FS.run(export_cache)",
    "WithoutDefaultExportCache": "FS.run(export_cache)",
    "ProgressGroup": "FS.run(group) progress_group",
    "WithLinuxResources": "FS.run(resources) resources",
    "MemoryLimit": "resources(memory)",
    "MemorySwapLimit": "resources(memory_swap)",
    "CPUShares": "resources(cpu_shares)",
    "CPUPeriod": "resources(cpu_period)",
    "CPUQuota": "resources(cpu_quota)",
    "CpusetCpus": "resources(cpuset_cpus)",
    "CpusetMems": "resources(cpuset_mems)",
}
"""What a name of client/llb is in pyllb."""

OTHERWISE: dict[str, str] = {
    "AddEnvf": "an f-string",
    "Dirf": "an f-string",
    "Shlexf": "an f-string",
    "WithCustomNamef": "an f-string",
    "Shlex": "`run([...])`, a list of words, which `shlex.split` makes of a text",
    "Location": "made by pyllb from where the call stands",
    "NewSourceMap": "made by pyllb from where the call stands",
    "WithImageConfig": "the config of an image is applied when it is resolved",
    "OCIChecksum": "without effect in client/llb, which writes it nowhere; the digest is part of the reference",
    "Async": "`FS.with_`, which calls a function of yours at once: values are pure, and none has to wait. What Go's "
    "own functions wait for, the configs of images, is asked for when a build is marshalled, all at once",
    "NewState": "an FS is one",
    "Output": "an FS is one",
    "WithOutput": "every method keeps the values",
    "Validate": "checked where each value is given, and by `dump`",
    "WithValue": "a variable of the build file",
    "Value": "a variable of the build file",
    **{f"Get{name}": "values are not read back" for name in ("Args", "Dir", "Env", "Hostname", "Network", "Platform")},
    "GetSecurity": "values are not read back",
    "Env": "values are not read back",
}
"""Names of client/llb that pyllb has no spelling for, and what stands in their place."""

HEADER = """\
# Go's names

What each name of BuildKit's Go package `client/llb` (0.33.1) is in pyllb. Made by `tools/reference.py` from
`tools/options.py`; tests hold every name of Go to be here, and every one of pyllb to exist. A parameter stands in
brackets: `image(platform)` is `image(..., platform=...)`, and the methods of `FS` take what the functions of their
names take.

What stands beside every op (`filters`, `name`, `description`, `ignore_cache`, `export_cache`, `group`, and where it is
part of the op `platform`) is a parameter of every source, of `run`, `FS.file`, `merge`, `diff`, `requires`,
`passthrough` and `FS.solve_definition`, though the table names one place. `resources` is of `run` alone: the daemon
looks at no other op's. A platform given to Go's `File`, `Merge`, `Diff` and `Requires` has no effect.
"""


def llb() -> str:
    """The page."""
    rows = [f"| `{go}` | {', '.join(f'`{place}`' for place in places.split())} |" for go, places in OPTIONS.items()]
    others = [f"| `{go}` | {text} |" for go, text in OTHERWISE.items()]
    head = ["| Go | pyllb |", "|---|---|"]
    return "\n".join([HEADER, *head, *rows, "\n## What is said in another way\n", *head, *others]) + "\n"


def missing() -> list[str]:
    """The places of the table that are not there."""
    return [place for places in OPTIONS.values() for place in places.split() if not _is_there(place)]


def _is_there(place: str) -> bool:
    path, _, parameter = place.removesuffix(")").partition("(")
    value: object = pyllb
    for name in path.split("."):
        value = getattr(value, name, None)
    if not callable(value):
        return False
    return not parameter or parameter in inspect.signature(value).parameters
