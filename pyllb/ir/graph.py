"""Graph: the vertices under an output, in the order in which they are marshalled."""

from __future__ import annotations

from pyllb.ir.ops import Output, Vertex


def postorder(root: Output) -> list[Vertex]:
    """Every vertex once: those it reads in the order it reads them, then itself; the last is root's.

    Two vertices are the same when they are one object. It is a loop: graphs may be 100,000 deep. The order is that
    of client/llb's marshal (BuildKit 0.33.1).
    """
    order: list[Vertex] = []
    opened: set[int] = set()
    closed: set[int] = set()
    stack: list[Vertex] = [root.vertex]
    while stack:
        vertex = stack[-1]
        key = id(vertex)
        if key in opened:
            stack.pop()
            if key not in closed:  # else it also stood higher in the stack, and was met there first
                closed.add(key)
                order.append(vertex)
            continue
        opened.add(key)
        for output in reversed(vertex.inputs()):
            if id(output.vertex) not in opened:
                stack.append(output.vertex)
    return order
