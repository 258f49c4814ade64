"""LineLog: what a vertex printed, cut into lines as it comes."""

from __future__ import annotations

import codecs
import re
from collections import deque

LAST_LINES = 50  # kept per vertex for the summary of a failure
_LONGEST = 16 * 1024  # characters of one line before it is broken: a line may never end, memory does
# escape sequences: CSI ... letter, OSC ... BEL or ST, and two-character ones
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain_text(line: str) -> str:
    """A line of output as it is safe to show inside a drawing: no escapes, what a carriage return overwrote gone."""
    line = _ESCAPES.sub("", line).rstrip("\r").rpartition("\r")[2]
    return _CONTROLS.sub("", line.replace("\t", " "))


def plain_lines(text: str) -> str:
    """A text of several lines, such as a step's name, each as plain_text has it."""
    return "\n".join(map(plain_text, text.split("\n")))


class LineLog:
    """A vertex's output, both streams as they came, bytes that are not UTF-8 replaced.

    fresh: lines not shown yet, each with its seconds in front; the last one may be unfinished (open). offset: how
    much of the first of them was shown already. last: the last lines, with their seconds; size: bytes in all.
    """

    def __init__(self) -> None:
        self.fresh: list[str] = []
        self.open = False
        self.offset = 0
        self.size = 0
        self.last: deque[str] = deque(maxlen=LAST_LINES)
        self._decoders: dict[int, codecs.IncrementalDecoder] = {}

    def feed(self, stream: int, data: bytes, since: float) -> None:
        """Take output in. stream: 1 stdout, 2 stderr; since: seconds from the vertex's start."""
        self.size += len(data)
        decoder = self._decoders.get(stream)
        if decoder is None:  # the daemon cuts anywhere, also inside a character
            decoder = self._decoders[stream] = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(data)
        if not text:
            return
        pieces = text.split("\n")
        if ends := not pieces[-1]:
            pieces.pop()
        for piece in pieces:
            self._add(piece, since)
            self.open = False
        self.open = not ends and len(self.last[-1]) < _LONGEST

    def shown(self) -> None:
        """All of fresh was written: keep only an unfinished line, to be continued."""
        self.fresh = self.fresh[-1:] if self.open else []
        self.offset = len(self.fresh[0]) if self.fresh else 0

    def restart(self) -> None:
        """Another vertex was shown since: an unfinished line is to be written again from its start."""
        self.offset = 0

    def _add(self, piece: str, since: float) -> None:
        if self.open and self.fresh:
            self.fresh[-1] += piece
            self.last[-1] = self.fresh[-1][:_LONGEST]
        else:
            line = f"{seconds(since)} {piece}"
            self.fresh.append(line)
            self.last.append(line[:_LONGEST])


def seconds(value: float) -> str:
    """Seconds in front of a log line: 0.123, 12.35, 123.5. Mirrors progressui (0.33.1)."""
    return f"{value:.{3 if value < 10 else 2 if value < 100 else 1}f}"


_UNITS = ("kB", "MB", "GB", "TB")


def size(count: int) -> str:
    """Bytes as people read them, in powers of 1000: 512B, 1.50kB, 23.04MB."""
    if abs(count) < 1000:
        return f"{count}B"
    value = float(count)
    for unit in _UNITS:
        value /= 1000
        if abs(value) < 1000 or unit == _UNITS[-1]:
            break
    return f"{value:.2f}{unit}"
