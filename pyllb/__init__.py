"""pyllb: builds written in Python, compiled to BuildKit's LLB and solved on buildkitd.

Each name is loaded at its first use (PEP 562). A build file thus loads what it names, without protobuf and grpc, and
the command can set the garbage collector before the first class is made.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyllb import errors
    from pyllb.client import Client, Result, dump, solve
    from pyllb.dsl.actions import chain, copy, mkdir, mkfile, rm, symlink
    from pyllb.dsl.constraints import constraints, progress_group, resources
    from pyllb.dsl.exec import proxy
    from pyllb.dsl.fs import FS, definition, fs, git, http, image, image_blob, local, oci_layout, oci_layout_blob
    from pyllb.dsl.git import git_signature
    from pyllb.dsl.graph import diff, merge, passthrough
    from pyllb.dsl.mounts import bind, cache, secret, ssh, tmpfs
    from pyllb.dsl.target import Target, target
    from pyllb.errors import PyllbError
    from pyllb.ir.platform import Platform
    from pyllb.marshal.definition import Definition

__all__ = [  # noqa: RUF022 - in plain order, as sorted() has it
    "Client",
    "Definition",
    "FS",
    "Platform",
    "PyllbError",
    "Result",
    "Target",
    "bind",
    "cache",
    "chain",
    "constraints",
    "copy",
    "definition",
    "diff",
    "dump",
    "errors",
    "fs",
    "git",
    "git_signature",
    "http",
    "image",
    "image_blob",
    "local",
    "merge",
    "mkdir",
    "mkfile",
    "oci_layout",
    "oci_layout_blob",
    "passthrough",
    "progress_group",
    "proxy",
    "resources",
    "rm",
    "secret",
    "solve",
    "ssh",
    "symlink",
    "target",
    "tmpfs",
]

_HOMES = {
    "Client": "pyllb.client",
    "Definition": "pyllb.marshal.definition",
    "FS": "pyllb.dsl.fs",
    "Platform": "pyllb.ir.platform",
    "PyllbError": "pyllb.errors",
    "Result": "pyllb.client",
    "Target": "pyllb.dsl.target",
    "bind": "pyllb.dsl.mounts",
    "cache": "pyllb.dsl.mounts",
    "chain": "pyllb.dsl.actions",
    "constraints": "pyllb.dsl.constraints",
    "copy": "pyllb.dsl.actions",
    "definition": "pyllb.dsl.fs",
    "diff": "pyllb.dsl.graph",
    "dump": "pyllb.client",
    "fs": "pyllb.dsl.fs",
    "git": "pyllb.dsl.fs",
    "git_signature": "pyllb.dsl.git",
    "http": "pyllb.dsl.fs",
    "image": "pyllb.dsl.fs",
    "image_blob": "pyllb.dsl.fs",
    "local": "pyllb.dsl.fs",
    "merge": "pyllb.dsl.graph",
    "mkdir": "pyllb.dsl.actions",
    "mkfile": "pyllb.dsl.actions",
    "oci_layout": "pyllb.dsl.fs",
    "oci_layout_blob": "pyllb.dsl.fs",
    "passthrough": "pyllb.dsl.graph",
    "progress_group": "pyllb.dsl.constraints",
    "proxy": "pyllb.dsl.exec",
    "resources": "pyllb.dsl.constraints",
    "rm": "pyllb.dsl.actions",
    "secret": "pyllb.dsl.mounts",
    "solve": "pyllb.client",
    "ssh": "pyllb.dsl.mounts",
    "symlink": "pyllb.dsl.actions",
    "target": "pyllb.dsl.target",
    "tmpfs": "pyllb.dsl.mounts",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "errors":
        return import_module("pyllb.errors")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'pyllb' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
