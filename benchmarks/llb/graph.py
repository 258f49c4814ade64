"""One measured run: a graph of N execs is built, marshalled with its source map, and serialised.

Usage: python benchmarks/llb/graph.py chain|wide N, with pyllb in its path. The graph is that of
tests/oracle/bench/main.go.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
import time

from pyllb import FS, cache, fs, merge
from pyllb.ir.platform import Platform
from pyllb.marshal.definition import Definition
from pyllb.marshal.lower import Lowered, lower


def graph(shape: str, n: int) -> FS:
    """N execs, each on the one before (chain), or side by side and merged (wide)."""
    base = fs().image("golang").dir("/src").env(CGO_ENABLED="0")
    wide = []
    for i in range(n):
        done = base.run(
            f"go build ./cmd/{i}",
            env={"STEP": str(i)},
            mounts=[cache("go-build")],
            name=f"build {i}",
        )
        if shape == "chain":
            base = done
        else:
            wide.append(done)
    return base if shape == "chain" else merge(*wide)


def own_text(filename: str) -> str | None:
    """The text of this file alone, as a command knows that of the build file alone."""
    if filename != __file__:
        return None
    with open(filename) as file:  # pathlib would be a tenth of the memory that is measured
        return file.read()


def marshal(node: FS) -> Definition:
    try:
        next(
            lower(node, platform=Platform("linux", "amd64"), local_unique_id="bench", resolve=False, read_text=own_text)
        )
    except StopIteration as done:
        lowered: Lowered = done.value
        return lowered.definition
    raise AssertionError("lower asked for something")


def main() -> None:
    shape, n = sys.argv[1], int(sys.argv[2])
    gc.disable()  # as `pyllb dump` does
    start, cpu = time.perf_counter(), time.process_time()
    definition = marshal(graph(shape, n))
    data = definition.to_bytes()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    report = {
        "seconds": seconds,
        "cpu": cpu,
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "bytes": len(data),
        "ops": len(definition.ops),
        "head": definition.digest,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
