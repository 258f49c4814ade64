"""Transfers: solves whose time is the client's, done by pyllb and by buildctl on the same daemon."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs

from benchmarks.process import PYLLB, Run, Side, interleave
from tests.testbed import Testbed

BUILD = r'''
"""What the transfer benchmarks solve."""
from pyllb import FS, fs, local, target

SMALL = """
mkdir /out && cd /out
for d in $(seq 200); do mkdir $d; for f in $(seq 100); do echo $d $f > $d/$f; done; done
"""
LARGE = "mkdir -p /out && for f in $(seq 64); do dd if=/dev/urandom of=/out/$f bs=1M count=16; done"


@target
def noop() -> FS:
    return fs().image("busybox").run("echo cached")


@target
def send(path: str, key: str) -> FS:
    return local(path, name="context", shared_key=key)


@target
def small() -> FS:
    return fs().copy(fs().image("busybox").run(SMALL), "/out", "/", contents_only=True)


@target
def large() -> FS:
    return fs().copy(fs().image("busybox").run(LARGE), "/out", "/", contents_only=True)
'''


@attrs.frozen
class Transfers:
    """The benchmark's folders and daemon. work: scratch on memory, so that no disk is measured."""

    testbed: Testbed
    work: Path
    repeats: int

    def write(self) -> None:
        (self.work / "build.py").write_text(BUILD)
        self._trees()

    def _trees(self) -> None:
        small, large = self.work / "small", self.work / "large"
        small.mkdir()
        for number in range(200):
            (small / str(number)).mkdir()
            for file in range(100):
                (small / str(number) / str(file)).write_bytes(os.urandom(1024 + (number * 100 + file) % 3072))
        large.mkdir()
        for number in range(64):
            (large / str(number)).write_bytes(os.urandom(16 << 20))

    def env(self) -> dict[str, str]:
        root = Path(__file__).resolve().parents[1]
        # With this variable each start would compile all of pyllb anew, which no installed package does.
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return {**kept, "BUILDKIT_HOST": self.testbed.address, "PYTHONPATH": str(root)}

    def solve(self, target: str, *flags: str) -> list[str]:
        return [*PYLLB, "solve", f"{self.work}/build.py:{target}", "--progress=quiet", *flags]

    def dumped(self, target: str, *flags: str) -> Path:
        """A file with the target's LLB for buildctl, made before the clock runs."""
        file = self.work / f"{target}{'-'.join(flags).replace('/', '_')}.pb"
        command = [*PYLLB, "dump", f"{self.work}/build.py:{target}", *flags]
        with file.open("wb") as out:
            subprocess.run(command, stdout=out, stderr=subprocess.DEVNULL, env=self.env(), check=True)
        return file

    def buildctl(self, *flags: str) -> list[str]:
        return [str(self.testbed.buildctl), "--addr", self.testbed.address, "build", "--progress=quiet", *flags]

    def compare(self, ours: Side, theirs: Side, *, forget: bool = False) -> dict[str, list[Run]]:
        """forget: the daemon drops what it was sent after each run, or ten GiB would lie in memory at the end."""
        between = self._forget if forget else self._clear
        return interleave([ours, theirs], self.repeats, self.env(), between)

    def _forget(self) -> None:
        self._clear()
        prune = ["prune", "--filter", "type==source.local"]
        address = ["--addr", self.testbed.address]
        subprocess.run([str(self.testbed.buildctl), *address, *prune], stdout=subprocess.DEVNULL, check=True)

    def _clear(self) -> None:
        """Remove what came out, and wait for the disk: no run pays for what the daemon wrote in the one before."""
        for path in (self.work / "out", self.work / "out.tar"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        os.sync()

    def all(self) -> Iterator[tuple[str, dict[str, list[Run]]]]:
        yield "cached no-op solve", self.noop()
        yield "20,000 small files sent, new key", self.send("small", new=True)
        yield "20,000 small files sent again unchanged", self.send("small", new=False)
        yield "1 GiB in 64 files sent, new key", self.send("large", new=True)
        yield "20,000 files received", self.receive("small", "type=local,dest={}/out")
        yield "1 GiB tar received", self.receive("large", "type=tar,dest={}/out.tar")

    def noop(self) -> dict[str, list[Run]]:
        llb = self.dumped("noop")
        return self.compare(
            Side("pyllb", lambda turn: self.solve("noop")),
            Side("buildctl", lambda turn: self.buildctl(), lambda turn: llb),
        )

    def send(self, tree: str, *, new: bool) -> dict[str, list[Run]]:
        """new: each run under a shared key of its own, so that the daemon has nothing of it."""
        path = str(self.work / tree)

        def key(side: str, turn: int) -> list[str]:
            return ["--path", path, "--key", f"{tree}-{side}-{turn if new else 'same'}"]

        llb = {turn: self.dumped("send", *key("buildctl", turn)) for turn in range(self.repeats + 1)}
        return self.compare(
            Side("pyllb", lambda turn: self.solve("send", *key("pyllb", turn))),
            Side("buildctl", lambda turn: self.buildctl("--local", f"context={path}"), lambda turn: llb[turn]),
            forget=new,
        )

    def receive(self, target: str, output: str) -> dict[str, list[Run]]:
        llb, spec = self.dumped(target), output.format(self.work)
        return self.compare(
            Side("pyllb", lambda turn: self.solve(target, "--output", spec)),
            Side("buildctl", lambda turn: self.buildctl("--output", spec), lambda turn: llb),
        )
