"""The client: what is asked of a daemon, and the life of a solve.

    solve(node, addr=..., output=...) -> Result      one call, one connection
    dump(node) -> Definition                         no connection
    Client(addr)                                     a connection for several of these

Nothing here loads grpc before something connects.
"""

from pyllb.client.address import Address, default_addresses, find_address, parse_address
from pyllb.client.client import Client, solve
from pyllb.client.compile import Resolver, compile_node, dump
from pyllb.client.result import CacheUse, Result, Step
from pyllb.client.sink import Sink
from pyllb.client.specs.cache import CacheSpec
from pyllb.client.specs.output import Export

__all__ = [
    "Address",
    "CacheSpec",
    "CacheUse",
    "Client",
    "Export",
    "Resolver",
    "Result",
    "Sink",
    "Step",
    "compile_node",
    "default_addresses",
    "dump",
    "find_address",
    "parse_address",
    "solve",
]
