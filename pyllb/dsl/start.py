"""Started: a state with the methods that start a filesystem from a source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import attrs

from pyllb.dsl import check, sources
from pyllb.dsl.config import Configured
from pyllb.dsl.constraints import constraints
from pyllb.dsl.state import State
from pyllb.errors import OptionError
from pyllb.ir.meta import Meta, make_meta
from pyllb.ir.ops import ExecOp, Output, SourceOp
from pyllb.ir.site import here

if TYPE_CHECKING:
    from typing import Self

    from pyllb.dsl.git import GitSignature, GitTime
    from pyllb.dsl.sources import Differ, PathLike
    from pyllb.ir.constraints import Constraints, ProgressGroup
    from pyllb.ir.ops import Node, ResolveMode, Vertex
    from pyllb.ir.platform import Platform


class Started(Configured):
    """A state with the methods that start a filesystem. Each is on an empty one and keeps its values."""

    __slots__ = ()

    def image(
        self,
        ref: str,
        *,
        platform: str | Platform | None = None,
        resolve_mode: ResolveMode = "default",
        checksum: str | None = None,
        layer_limit: int | None = None,
        internal: bool = False,
        resolve_digest: bool = False,
        filters: Iterable[str] = (),
        name: str | None = None,
        description: Mapping[str, str] | None = None,
        ignore_cache: bool = False,
        export_cache: bool | None = None,
        group: str | ProgressGroup | None = None,
    ) -> Self:
        """Start from an image of a registry. Its config lies under the values of this state.

        ref: "golang", "golang:1.25", "registry.example.com/team/app@sha256:...". platform: None is the state's, then
        the solve's. resolve_mode: "pull" always asks the registry, "local" takes what the daemon has. checksum: digest
        that the manifest must have. layer_limit: only the first layers. internal: the daemon keeps the record for
        itself. resolve_digest: where configs are resolved, the digest that ref has then is written into the LLB. name:
        shown by progress, None is the reference. The others: see `run`.

        Raises RefError for the reference or a digest, OptionError for the rest and when this state has content.

        LLB: SourceOp docker-image://. Mirrors client/llb Image, ResolveDigest (BuildKit 0.33.1).
        """
        options = self._source_constraints(
            "image", platform, filters, name, description, ignore_cache, export_cache, group
        )
        op = sources.image_op(
            ref,
            options,
            here(),
            resolve_mode=resolve_mode,
            checksum=checksum,
            layer_limit=layer_limit,
            internal=internal,
            resolve_digest=resolve_digest,
        )
        return self._source(op, self._on_image(op))

    def local(
        self,
        path: str | PathLike,
        *,
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        follow: Iterable[str] = (),
        shared_key: str | None = None,
        differ: Differ | None = None,
        differ_required: bool = True,
        session: str | None = None,
        unique_id: str | None = None,
        metadata_only: bool = False,
        metadata_except: Iterable[str] = (),
        name: str | None = None,
        custom_name: str | None = None,
        platform: str | Platform | None = None,
        filters: Iterable[str] = (),
        description: Mapping[str, str] | None = None,
        ignore_cache: bool = False,
        export_cache: bool | None = None,
        group: str | ProgressGroup | None = None,
    ) -> Self:
        """Start from a directory of the client.

        path: relative to the file of this call (to the current directory when that is no file). include, exclude:
        patterns as in .dockerignore, relative to the directory. follow: paths whose symbolic links are sent with what
        they point to. shared_key: directories with the same key and name are kept as one by the daemon. differ: what
        decides that a file is sent again, "metadata" (None too) or "none", which sends all; differ_required=False: a
        daemon that does not know differ may do without. session: id of another client's session that has the directory.
        unique_id: solves with the same one may share an upload; None is one of each solve's own. metadata_only: sends
        names and modes and no content, but of metadata_except. name: the source's name in LLB and for `buildctl
        --local`; None is "context" for ".", else the last part of path. custom_name: shown by progress. The others: see
        `run`.

        Raises OptionError.

        LLB: SourceOp local://. Mirrors client/llb Local (BuildKit 0.33.1).
        """
        options = self._source_constraints(
            "local", platform, filters, custom_name, description, ignore_cache, export_cache, group
        )
        op = sources.local_op(
            path,
            options,
            here(),
            name=name,
            include=include,
            exclude=exclude,
            follow=follow,
            shared_key=shared_key,
            differ=differ,
            differ_required=differ_required,
            session=session,
            unique_id=unique_id,
            metadata_only=metadata_only,
            metadata_except=metadata_except,
        )
        return self._source(op, self.meta)

    def git(
        self,
        url: str,
        *,
        ref: str | None = None,
        subdir: str | None = None,
        keep_git_dir: bool = False,
        submodules: bool = True,
        checksum: str | None = None,
        mtime: GitTime | None = None,
        fetch_by_commit: bool = False,
        bundle: str | None = None,
        bundle_store: str | None = None,
        bundle_session: str | None = None,
        checkout_bundle: bool = False,
        advice: bool = False,
        signature: GitSignature | None = None,
        auth_token_secret: str | None = None,
        auth_header_secret: str | None = None,
        known_hosts: str | Iterable[str] | None = None,
        ssh_id: str | None = None,
        platform: str | Platform | None = None,
        filters: Iterable[str] = (),
        name: str | None = None,
        description: Mapping[str, str] | None = None,
        ignore_cache: bool = False,
        export_cache: bool | None = None,
        group: str | ProgressGroup | None = None,
    ) -> Self:
        """Start from a git repository.

        url: https, http, ssh or git, or `git@host:path`; its fragment may say `#ref:subdir`. ref: branch, tag or
        commit; None is the remote's HEAD. subdir: the part of the tree. keep_git_dir: keep .git. checksum: the commit
        that ref must be. mtime: what files are stamped with, "checkout" (None too) or "commit". fetch_by_commit: fetch
        checksum without asking for ref. bundle: history from `docker-image+blob://...` instead of the remote, or from
        `oci-layout+blob://...` with bundle_store and bundle_session as in `oci_layout`. checkout_bundle: the commit as
        one bundle file. advice: leave git's hints in its messages. signature: see `git_signature`. auth_token_secret,
        auth_header_secret: ids of secrets for https, None is GIT_AUTH_TOKEN and GIT_AUTH_HEADER, "" is none.
        known_hosts: lines of the ssh host's keys; None takes any key, as no host is asked for its keys by itself.
        ssh_id: of the ssh agent, None is "default". The others: see `run`.

        Raises RefError for the URL or checksum, OptionError for the rest.

        LLB: SourceOp git://. Mirrors client/llb Git (BuildKit 0.33.1).
        """
        from pyllb.dsl.git import git_op  # here, as below: few builds have one, and start-up is measured

        options = self._source_constraints(
            "git", platform, filters, name, description, ignore_cache, export_cache, group
        )
        op = git_op(
            url,
            options,
            here(),
            ref=ref,
            subdir=subdir,
            keep_git_dir=keep_git_dir,
            submodules=submodules,
            checksum=checksum,
            mtime=mtime,
            fetch_by_commit=fetch_by_commit,
            bundle=bundle,
            bundle_store=bundle_store,
            bundle_session=bundle_session,
            checkout_bundle=checkout_bundle,
            advice=advice,
            signature=signature,
            auth_token_secret=auth_token_secret,
            auth_header_secret=auth_header_secret,
            known_hosts=known_hosts,
            ssh_id=ssh_id,
        )
        return self._source(op, self.meta)

    def http(
        self,
        url: str,
        *,
        checksum: str | None = None,
        filename: str | None = None,
        mode: int | str | None = None,
        owner: str | int | None = None,
        auth_secret: str | None = None,
        accept: str | None = None,
        user_agent: str | None = None,
        pgp_key: str | None = None,
        pgp_signature: str | None = None,
        platform: str | Platform | None = None,
        filters: Iterable[str] = (),
        name: str | None = None,
        description: Mapping[str, str] | None = None,
        ignore_cache: bool = False,
        export_cache: bool | None = None,
        group: str | ProgressGroup | None = None,
    ) -> Self:
        """Start from one downloaded file.

        url: https or http. checksum: "sha256:..." of the file. filename: None is the server's or the URL's last part.
        mode: permission bits, None is 0o600. owner: numbers, "1000:1000". auth_secret: id of the secret that is the
        Authorization header. accept, user_agent: request headers. pgp_key, pgp_signature: armoured texts, the file
        must be signed so. The others: see `run`.

        Raises RefError for checksum, OptionError for the rest.

        LLB: SourceOp with the URL. Mirrors client/llb HTTP (BuildKit 0.33.1).
        """
        options = self._source_constraints(
            "http", platform, filters, name, description, ignore_cache, export_cache, group
        )
        op = sources.http_op(
            url,
            options,
            here(),
            checksum=checksum,
            filename=filename,
            mode=mode,
            owner=owner,
            auth_secret=auth_secret,
            accept=accept,
            user_agent=user_agent,
            pgp_key=pgp_key,
            pgp_signature=pgp_signature,
        )
        return self._source(op, self.meta)

    def oci_layout(
        self,
        ref: str,
        *,
        store: str | None = None,
        session: str | None = None,
        layer_limit: int | None = None,
        platform: str | Platform | None = None,
        filters: Iterable[str] = (),
        name: str | None = None,
        description: Mapping[str, str] | None = None,
        ignore_cache: bool = False,
        export_cache: bool | None = None,
        group: str | ProgressGroup | None = None,
    ) -> Self:
        """Start from an image of an OCI layout, which a client of the daemon serves.

        ref: "layouts/app@sha256:...", or with a tag as in "layouts/app:1", which a solve looks up in the layout's
        index: the daemon knows digests alone. What stands before is for people. store: the name that the layout is
        given by, as in `solve(..., oci_layouts={"base": "./layout"})` or `--oci-layout base=./layout`. session: another
        client's session that has the layout; None is the client of the solve. layer_limit: only the first layers. The
        image's config is inherited as that of `image` is, but for another client's. The others: see `run`.

        Raises RefError for the reference, OptionError for the rest.

        LLB: SourceOp oci-layout://. Mirrors client/llb OCILayout, OCIStore, OCILayerLimit (BuildKit 0.33.1), which read
        no config; the Dockerfile frontend does.
        """
        from pyllb.dsl.stored import oci_layout_op

        options = self._source_constraints(
            "oci_layout", platform, filters, name, description, ignore_cache, export_cache, group
        )
        op = oci_layout_op(ref, options, here(), store=store, session=session, layer_limit=layer_limit)
        meta = self.meta if op.image is None else self._on_image(op)
        return self._source(op, meta)

    def image_blob(
        self,
        ref: str,
        *,
        filename: str | None = None,
        mode: int | str | None = None,
        owner: str | int | None = None,
        platform: str | Platform | None = None,
        filters: Iterable[str] = (),
        name: str | None = None,
        description: Mapping[str, str] | None = None,
        ignore_cache: bool = False,
        export_cache: bool | None = None,
        group: str | ProgressGroup | None = None,
    ) -> Self:
        """Start from one blob of a registry's repository, a layer's archive say, as one file.

        ref: "registry.example.com/team/app@sha256:...", the digest being the blob's. filename: None is the daemon's
        choice. mode, owner: as in `http`. The others: see `run`.

        Raises RefError for the reference, OptionError for the rest.

        LLB: SourceOp docker-image+blob://. Mirrors client/llb ImageBlob (BuildKit 0.33.1).
        """
        from pyllb.dsl.stored import blob_op

        options = self._source_constraints(
            "image_blob", platform, filters, name, description, ignore_cache, export_cache, group
        )
        op = blob_op(
            ref,
            options,
            here(),
            filename=filename,
            mode=mode,
            owner=owner,
            layout=False,
            store=None,
            session=None,
        )
        return self._source(op, self.meta)

    def oci_layout_blob(
        self,
        ref: str,
        *,
        store: str | None = None,
        session: str | None = None,
        filename: str | None = None,
        mode: int | str | None = None,
        owner: str | int | None = None,
        platform: str | Platform | None = None,
        filters: Iterable[str] = (),
        name: str | None = None,
        description: Mapping[str, str] | None = None,
        ignore_cache: bool = False,
        export_cache: bool | None = None,
        group: str | ProgressGroup | None = None,
    ) -> Self:
        """Start from one blob of an OCI layout, as one file: `image_blob`, from where `oci_layout` has it.

        Raises RefError for the reference, OptionError for the rest.

        LLB: SourceOp oci-layout+blob://. Mirrors client/llb OCILayoutBlob, ImageBlobOCIStore (BuildKit 0.33.1).
        """
        from pyllb.dsl.stored import blob_op

        options = self._source_constraints(
            "oci_layout_blob", platform, filters, name, description, ignore_cache, export_cache, group
        )
        op = blob_op(
            ref,
            options,
            here(),
            filename=filename,
            mode=mode,
            owner=owner,
            layout=True,
            store=store,
            session=session,
        )
        return self._source(op, self.meta)

    def definition(self, definition: Node) -> Self:
        """Start from the result of a definition: LLB that this library, Go, buildctl or a frontend marshalled.

        definition: `Definition.from_bytes(data)`. Its ops stay what they are, byte for byte, with their metadata and
        their places in source maps. The values are those of this state, and the platform of the definition's result;
        LLB says nothing of the others.

        Raises OptionError when it is none, and when this state has content; DefinitionError when an op reads itself.

        LLB: the definition's ops. Mirrors client/llb NewDefinitionOp (BuildKit 0.33.1).
        """
        if isinstance(definition, bytes):
            raise OptionError("definition is bytes; write Definition.from_bytes(...) around them")
        if isinstance(definition, State) or not hasattr(definition, "output"):
            raise OptionError(f"definition is {check.show(definition)}; write Definition.from_bytes(data)")
        self._nothing_yet("definition")
        platform = definition.meta.settings.platform
        meta = self.meta if platform is None else on_platform(self.meta, platform)
        return self.__class__(definition.output, meta, self.spec)

    def _nothing_yet(self, method: str) -> None:
        if self.output is not None:
            raise OptionError(f"{method}() starts a filesystem, and this one has content: {self!r}; start from fs()")

    def _source_constraints(
        self,
        method: str,
        platform: str | Platform | None,
        filters: Iterable[str],
        name: str | None,
        description: Mapping[str, str] | None,
        ignore_cache: bool,
        export_cache: bool | None,
        group: str | ProgressGroup | None,
    ) -> Constraints:
        self._nothing_yet(method)
        return constraints(
            platform=self.meta.settings.platform if platform is None else platform,
            filters=filters,
            name=name,
            description=description,
            ignore_cache=ignore_cache,
            export_cache=export_cache,
            group=group,
        )

    def _on_image(self, op: SourceOp) -> Meta:
        """The meta of a filesystem that begins with an image, whose own platform is its config's to say."""
        return make_meta(self.meta.env, attrs.evolve(self.meta.settings, image=op, platform=None))

    def _source(self, op: SourceOp, meta: Meta) -> Self:
        output = Output(op)
        return self.__class__(output, with_platform(meta, output), self.spec)


def on_platform(meta: Meta, platform: Platform) -> Meta:
    """This meta with another platform."""
    settings = meta.settings
    return meta if platform == settings.platform else make_meta(meta.env, attrs.evolve(settings, platform=platform))


def with_platform(meta: Meta, output: Output | None) -> Meta:
    """A vertex hands the platform it was made with on with its outputs, as Go's do: an exec, a source, what was read.

    An image's platform stays with the image: it lies under the one that the image's config says.
    """
    platform = None if output is None else _handed_on(output.vertex)
    return meta if platform is None else on_platform(meta, platform)


def _handed_on(vertex: Vertex) -> Platform | None:
    if type(vertex) is ExecOp:  # asked of every command, and the quicker test
        return vertex.constraints.platform
    if isinstance(vertex, SourceOp):
        return vertex.constraints.platform if vertex.image is None else None
    from pyllb.ir.rare import EncodedOp  # here: few builds have one

    return vertex.platform.normalized() if isinstance(vertex, EncodedOp) and vertex.platform is not None else None
