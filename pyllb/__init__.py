"""pyllb: builds written in Python, compiled to BuildKit's LLB and solved on buildkitd."""

from typing import TYPE_CHECKING

from pyllb import errors
from pyllb.dsl.actions import chain, copy, mkdir, mkfile, rm, symlink
from pyllb.dsl.constraints import progress_group, resources
from pyllb.dsl.exec import proxy
from pyllb.dsl.fs import FS, diff, fs, git, http, image, local, merge
from pyllb.dsl.mounts import bind, cache, secret, ssh, tmpfs
from pyllb.dsl.target import Target, target
from pyllb.errors import PyllbError
from pyllb.ir.platform import Platform

if TYPE_CHECKING:
    from pyllb.client import Client, Result, dump, solve
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
    "copy",
    "diff",
    "dump",
    "errors",
    "fs",
    "git",
    "http",
    "image",
    "local",
    "merge",
    "mkdir",
    "mkfile",
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

# Loaded at first use: a build file needs none of it, and the client brings protobuf and, when it dials, grpc.
_LATER = {
    "Client": "pyllb.client",
    "Definition": "pyllb.marshal.definition",
    "Result": "pyllb.client",
    "dump": "pyllb.client",
    "solve": "pyllb.client",
}


def __getattr__(name: str) -> object:
    module = _LATER.get(name)
    if module is None:
        raise AttributeError(f"module 'pyllb' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
