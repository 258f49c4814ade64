"""`python -m benchmarks [PART ...] [--repeats N]`: transfers, llb and startup; all of them when none is named."""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from pathlib import Path

from benchmarks import llb, report, startup
from benchmarks.transfers import Transfers
from tests import testbed

PARTS = ("startup", "llb", "transfers")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--repeats", type=int, default=7, help="counted runs of each side, at least 5 (default: 7)")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if options.repeats < 5:
        parser.error("--repeats below 5 is no measurement")
    print(f"Python {platform.python_version()} on {platform.machine()}; medians of {options.repeats} runs of each side")
    for part in options.parts or PARTS:
        RUN[part](options.repeats)


def run_startup(repeats: int) -> None:
    with tempfile.TemporaryDirectory() as work:
        runs = startup.compare(Path(work), repeats * 3, {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path.cwd())})
    show("python -c 'import attrs, google.protobuf'", [("dump of one exec, --resolve=never", runs)])


def run_llb(repeats: int) -> None:
    show("Go client/llb", llb.compare(repeats))


def run_transfers(repeats: int) -> None:
    memory = Path("/dev/shm")
    with testbed.up() as bed, tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as work:
        transfers = Transfers(bed, Path(work), repeats)
        transfers.write()
        show("buildctl", transfers.all())


def show(peer: str, comparisons: llb.Comparisons) -> None:
    print(f"\n{report.head(peer)}")
    for what, runs in comparisons:
        print(report.row(what, runs))
        sys.stdout.flush()


RUN = {"startup": run_startup, "llb": run_llb, "transfers": run_transfers}

if __name__ == "__main__":
    main()
