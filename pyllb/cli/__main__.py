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
    # all that is alive as Python ends, the collector takes a tenth of what `pyllb dump` of a small build does, and 2 us
    # of the 15 us a command of a large one. `pyllb solve`, which may take hours, enables it when the build is made.
    gc.set_threshold(200_000, 20, 20)
    gc.disable()
    _open_closed()
    interrupts = Interrupts()
    try:
        interrupts.install()
        from pyllb.cli.command import run

        code = run(list(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        code = interrupts.code
    except BrokenPipeError:
        code = 1  # nobody reads what we write, as in `pyllb dump | head`: no message
    interrupts.finish()
    _drop_unwritten()
    gc.freeze()
    sys.exit(code)


def _open_closed() -> None:
    """Give a standard stream that was closed (`>&-`) a descriptor again, one that fails, so that no other file gets its
    number, and what should be written there is no secret loss."""
    import os

    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_WRONLY if name == "stdin" else os.O_RDONLY)
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", closefd=False))


def _drop_unwritten() -> None:
    """What a stream did not take is not tried again by Python at its end, which would tell of it a second time."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            import os

            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, stream.fileno())
            os.close(silent)


if __name__ == "__main__":
    main()
