"""Settings: what the command line says to all of the command, and what its parts tell each other."""

from __future__ import annotations


class Settings:
    """One command line's. debug: --debug was given. logs_shown: the progress showed the output of what failed."""

    def __init__(self) -> None:
        self.debug = False
        self.logs_shown = False
