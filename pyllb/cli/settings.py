"""Settings: what the command line says to all of the command, and what its parts tell each other."""

from __future__ import annotations


class Settings:
    """One command line's. debug: --debug was given. logs_shown: the progress showed the output of what failed. answers:
    the command itself ends with 1 to say something, such as that there is a difference.
    """

    def __init__(self) -> None:
        self.debug = False
        self.logs_shown = False
        self.answers = False
