"""The console script: `pyllb`, and `python -m pyllb.cli`."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from typing import NoReturn

from pyllb.cli.interrupt import Interrupts


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and end the process with its exit code. arguments: those after the name; None: sys.argv's."""
    # A short process that allocates much and frees little: with the usual threshold of 700, and the last collection of
    # all that is alive as Python ends, the collector takes a tenth of what `pyllb dump` of a small build does.
    gc.set_threshold(50_000, 20, 20)
    interrupts = Interrupts()
    try:
        interrupts.install()
        from pyllb.cli.command import run

        code = run(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        code = interrupts.code
    except BrokenPipeError:
        code = _reader_gone()
    interrupts.finish()
    gc.freeze()
    sys.exit(code)


def _reader_gone() -> int:
    """Nobody reads what we write, as in `pyllb dump | head`: no message, and none from Python at its end either."""
    import os

    silent = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(silent, stream.fileno())
    os.close(silent)
    return 1


if __name__ == "__main__":
    main()
