"""Conformance: random programs in bulk, pyllb's definitions beside Go's, with a count of what they held.

    python -m tests.oracle.conformance [--programs 20000] [--seed N]

It ends with 1 when a program differs, or when an op or an option that a named case has was never drawn.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator

from tests.oracle import JSON, ask
from tests.oracle.cases import CASES
from tests.oracle.draw import drawn
from tests.oracle.dsl import marshal
from tests.oracle.test_cases import assert_equal

BATCH = 1000


def held(value: JSON, kind: str = "program") -> Iterator[str]:
    """Each op and option of a program, as `program.run.dir`; names and values do not count."""
    stack = [(value, kind)]
    while stack:
        item, path = stack.pop()
        if isinstance(item, dict):
            kinds = [str(item[key]) for key in ("op", "kind", "type") if key in item]
            here = ".".join([path, *kinds])
            yield here
            for key, inner in () if path.endswith(".description") else item.items():
                if key not in {"name", "op", "kind", "type", "resolve"}:
                    yield f"{here}.{key}"
                    stack.append((inner, here if key in {"nodes", "every"} else f"{here}.{key}"))
        elif isinstance(item, list | tuple):
            stack += [(inner, path) for inner in item]


def conform(programs: int, seed: int) -> Counter[str]:
    """Compare programs of the seeds from `seed` on; count what they held. Raises AssertionError at a difference."""
    count: Counter[str] = Counter()
    for start in range(seed, seed + programs, BATCH):
        made = [drawn(number) for number in range(start, min(start + BATCH, seed + programs))]
        for number, (one, answer) in enumerate(zip(made, ask(made), strict=True), start):
            try:
                assert_equal(marshal(one).definition, answer)
            except Exception as error:
                raise AssertionError(f"the program of seed {number} differs") from error
            count.update(set(held(one)))
        print(f"{start - seed + len(made):>7,} programs equal", file=sys.stderr)
    return count


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle.conformance", description=__doc__)
    parser.add_argument("--programs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=secrets.randbits(40))
    options = parser.parse_args()
    print(f"{options.programs:,} programs from seed {options.seed}", file=sys.stderr)
    began = time.monotonic()
    count = conform(options.programs, options.seed)
    for what, times in sorted(count.items()):
        print(f"{times:>7,} {what}")
    named = {what for case in CASES for what in held(case)}
    never = sorted(named - set(count))
    print(
        f"{options.programs:,} programs equal to Go's in {time.monotonic() - began:.0f} s; {len(count)} ops and options"
    )
    if never:
        sys.exit(f"never drawn: {', '.join(never)}")


if __name__ == "__main__":
    main()
