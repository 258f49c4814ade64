"""Graph: the vertices under an output, in the order in which they are marshalled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from pyllb.ir.ops import Output, Vertex


def postorder(root: Output) -> list[Vertex]:
    """Every vertex once: those it reads in the order it reads them, then itself; the last is root's.

    Two vertices are the same when they are one object. It is a loop: graphs may be 100,000 deep. The order is that
    of client/llb's marshal (BuildKit 0.33.1).
    """
    order: list[Vertex] = []
    done: set[int] = set()
    stack: list[Vertex] = [root.vertex]
    while stack:
        vertex = stack[-1]
        if id(vertex) in done:  # it also stood higher in the stack, and was met there first
            stack.pop()
            continue
        inputs = vertex.inputs()
        for output in inputs:
            if id(output.vertex) not in done:
                stack += [output.vertex for output in reversed(inputs) if id(output.vertex) not in done]
                break
        else:
            stack.pop()
            done.add(id(vertex))
            order.append(vertex)
    return order


def results_read(vertices: Iterable[Vertex], root: Output) -> Mapping[int, int]:
    """How many results of each vertex are read, by others or as root, by its id()."""
    read = {(id(output.vertex), output.index) for vertex in vertices for output in vertex.inputs()}
    return Counter(vertex for vertex, _ in read | {(id(root.vertex), root.index)})


_LAYOUT, _LAYOUT_BLOB = "oci-layout://", "oci-layout+blob://"


def layout_use(vertex: Vertex) -> tuple[str, str] | None:
    """The name of the OCI layout that a vertex reads, for this client to serve, and the reference of what it reads.

    None for all others. A git bundle that names no layout is in the one that its own reference begins with. Mirrors
    source/containerimage, source/containerblob and source/git of BuildKit 0.33.1.
    """
    identifier: str = getattr(vertex, "identifier", "")
    if not identifier:
        return None
    attributes: dict[str, str] = dict(getattr(vertex, "attributes", ()))
    place, name = identifier, ""
    if "git.bundle" in attributes:
        place = attributes["git.bundle"]
        name = place.removeprefix(_LAYOUT_BLOB).partition("@")[0]
    if not place.startswith((_LAYOUT, _LAYOUT_BLOB)) or attributes.get("oci.session"):
        return None
    return attributes.get("oci.store") or name, place.partition("://")[2]


def local_name(vertex: Vertex) -> str | None:
    """The name of the local source that a vertex is, for this client to serve; None for all others."""
    identifier: str = getattr(vertex, "identifier", "")  # sources have one, made here or read from a definition
    if not identifier.startswith("local://"):
        return None
    attributes: tuple[tuple[str, str], ...] = getattr(vertex, "attributes", ())
    theirs = any(key == "local.session" for key, _ in attributes)
    return None if theirs else identifier.removeprefix("local://")
