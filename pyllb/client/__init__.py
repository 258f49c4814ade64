"""The client: what is asked of a daemon, and the life of a solve.

    solve(node, addr=..., output=...) -> Result      one call, one connection
    dump(node) -> Definition                         no connection
    Client(addr)                                     a connection for several of these

Nothing here loads protobuf before something connects, and each name loads only what it needs: a dump is to start fast.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyllb.client.address import Address, find_address, parse_address
    from pyllb.client.client import Client, solve
    from pyllb.client.compile import Resolver, compile_node, dump
    from pyllb.client.reading import FileStat
    from pyllb.client.result import CacheUse, Result, Step
    from pyllb.client.sink import Sink
    from pyllb.client.specs.cache import CacheSpec
    from pyllb.client.specs.output import Export
    from pyllb.client.tls import Tls

__all__ = [
    "Address",
    "CacheSpec",
    "CacheUse",
    "Client",
    "Export",
    "FileStat",
    "Resolver",
    "Result",
    "Sink",
    "Step",
    "Tls",
    "compile_node",
    "dump",
    "find_address",
    "parse_address",
    "solve",
]

_HOMES = {
    "Address": "address",
    "CacheSpec": "specs.cache",
    "CacheUse": "result",
    "Client": "client",
    "Export": "specs.output",
    "FileStat": "reading",
    "Resolver": "compile",
    "Result": "result",
    "Sink": "sink",
    "Step": "result",
    "Tls": "tls",
    "compile_node": "compile",
    "dump": "compile",
    "find_address": "address",
    "parse_address": "address",
    "solve": "client",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'pyllb.client' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"pyllb.client.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
