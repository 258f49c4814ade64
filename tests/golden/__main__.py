"""Makes the golden files anew from what Go's client/llb makes of their programs."""

from __future__ import annotations

from pyllb.marshal.definition import Definition
from tests.golden import FILES, GOLDEN, path
from tests.oracle import OracleError, ask


def main() -> None:
    FILES.mkdir(exist_ok=True)
    for old in FILES.iterdir():
        old.unlink()
    for name, answer in zip(GOLDEN, ask(list(GOLDEN.values())), strict=True):
        if isinstance(answer, OracleError):
            raise answer
        path(name, ".pb").write_bytes(answer.definition)
        path(name, ".txt").write_text(Definition.from_bytes(answer.definition).to_tree())


if __name__ == "__main__":
    main()
