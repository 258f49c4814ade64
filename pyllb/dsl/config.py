"""Configured: the part of a state that the image's config gets (entrypoint, labels, ports, ...)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import attrs

from pyllb.dsl import check
from pyllb.dsl.state import State
from pyllb.errors import OptionError
from pyllb.ir.image import Healthcheck, ImageSpec, rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from typing import Self

AnnotationPlace = Literal["manifest", "manifest-descriptor", "index", "index-descriptor"]

_ANNOTATION_PLACES: tuple[AnnotationPlace, ...] = ("manifest", "manifest-descriptor", "index", "index-descriptor")
_SIGNALS = frozenset(  # of Linux; what moby/sys/signal knows
    (
        *("ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE"),
        *("POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU"),
        *("URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX"),
        *(f"RTMIN+{n}" for n in range(1, 16)),
        *(f"RTMAX-{n}" for n in range(1, 15)),
    )
)
_SIGNAL_MAX = 64  # SIGRTMAX
_PORT = r"([0-9]{1,5})(?:/(tcp|udp|sctp))?\Z"
_MILLISECOND = 1_000_000


class Configured(State):
    """A state with the methods of the image config. What is not set is the base image's."""

    __slots__ = ()

    def entrypoint(self, *argv: str | Sequence[str]) -> Self:
        """Set the image's entrypoint, one str a word; it replaces the base image's, and its cmd.

        argv: may be one list; `entrypoint([])` is none at all, as `ENTRYPOINT []` in a Dockerfile.
        Raises OptionError. Image config: Entrypoint.
        """
        return self._with_spec(attrs.evolve(self.spec, entrypoint=check.argv("entrypoint", argv, empty=True)))

    def cmd(self, *argv: str | Sequence[str]) -> Self:
        """Set the image's default arguments, or its command when it has no entrypoint.

        argv: one str a word, or one list; `cmd([])` is none at all, as `CMD []` in a Dockerfile.
        Raises OptionError. Image config: Cmd.
        """
        return self._with_spec(attrs.evolve(self.spec, cmd=check.argv("cmd", argv, empty=True)))

    def label(self, name: str, value: str) -> Self:
        """Set a label; the same name again replaces it. Raises OptionError. Image config: Labels."""
        pair = check.text("the name of a label", name), check.value_text(f"label {name!r}", value)
        return self._with_spec(attrs.evolve(self.spec, labels=_set(self.spec.labels, pair)))

    def annotate(self, name: str, value: str, *, on: AnnotationPlace = "manifest") -> Self:
        """Set an annotation of what an exporter writes.

        on: "manifest", the image's; "index", of an output that has one (several platforms, or attestations); or how
        the one above names them, "manifest-descriptor" and "index-descriptor". Raises OptionError; a solve raises
        UsageError for an index that its output does not have.

        Exporters: annotation.NAME, annotation-index.NAME and so on.
        """
        if re.search(r"\s", check.text("the name of an annotation", name)):
            raise OptionError(f"the name of an annotation is {name!r}; it has no white space")
        check.choice("on", on, _ANNOTATION_PLACES)
        prefix = "annotation" if on == "manifest" else f"annotation-{on}"
        pair = f"{prefix}.{name}", check.value_text(f"annotation {name!r}", value)
        return self._with_spec(attrs.evolve(self.spec, annotations=_set(self.spec.annotations, pair)))

    def expose(self, *ports: int | str) -> Self:
        """Add ports that the image's program listens at: 8080, or "53/udp". Raises OptionError.

        Image config: ExposedPorts.
        """
        new = tuple(_port(port) for port in ports)
        return self._with_spec(attrs.evolve(self.spec, ports=_add(self.spec.ports, new)))

    def volume(self, *paths: str) -> Self:
        """Add directories that hold the program's data, absolute. Raises OptionError. Image config: Volumes."""
        new = tuple(check.absolute("a volume", path, error=OptionError) for path in paths)
        return self._with_spec(attrs.evolve(self.spec, volumes=_add(self.spec.volumes, new)))

    def stop_signal(self, signal: str | int) -> Self:
        """Set the signal that asks the program to end: "SIGTERM", or a number. Raises OptionError.

        Image config: StopSignal.
        """
        return self._with_spec(attrs.evolve(self.spec, stop_signal=_signal(signal)))

    def healthcheck(
        self,
        test: str | Sequence[str] | None,
        *,
        interval: float | str = 0,
        timeout: float | str = 0,
        start_period: float | str = 0,
        start_interval: float | str = 0,
        retries: int = 0,
    ) -> Self:
        """Set how an engine asks whether the program is well.

        test: a str runs under the image's shell, a list is argv, None takes the base image's check off. Durations are
        seconds, or text such as "30s", at least 1ms; 0 is the engine's default.

        Raises OptionError. Image config: Healthcheck.
        """
        health = Healthcheck(
            test=_test(test),
            interval=_pause("interval", interval),
            timeout=_pause("timeout", timeout),
            start_period=_pause("start_period", start_period),
            start_interval=_pause("start_interval", start_interval),
            retries=check.integer("retries", retries, 0, (1 << 31) - 1),
        )
        return self._with_spec(attrs.evolve(self.spec, healthcheck=health))

    def onbuild(self, *instructions: str) -> Self:
        """Add Dockerfile instructions for builds that start from this image. Raises OptionError.

        Image config: OnBuild.
        """
        new = tuple(check.text("an onbuild instruction", line) for line in instructions)
        return self._with_spec(attrs.evolve(self.spec, onbuild=(*self.spec.onbuild, *new)))

    def author(self, name: str) -> Self:
        """Set the image's author. Raises OptionError. Image config: author."""
        return self._with_spec(attrs.evolve(self.spec, author=check.text("author", name)))

    def created(self, when: datetime | float) -> Self:
        """Set when the image was made: a datetime, or seconds since the epoch; else it is the newest layer's time.

        An output's source-date-epoch takes the place of a later time. Raises OptionError. Image config: created.
        """
        if when is None:
            raise OptionError("created is None; write a datetime, or seconds since 1970-01-01 UTC")
        return self._with_spec(attrs.evolve(self.spec, created=check.created("created", when)))

    def history(
        self,
        created_by: str,
        *,
        comment: str = "",
        author: str = "",
        created: datetime | float | None = None,
        empty_layer: bool = True,
    ) -> Self:
        """Add an entry to the image's history, after the base image's and those added before.

        created_by: the command. created: a datetime, or seconds since the epoch; None is the time of the layer.
        empty_layer: False makes it the entry of the next layer; layers without one get the daemon's, which names the
        op. Raises OptionError. Image config: history.
        """
        entry: list[tuple[str, str | bool]] = []
        when = check.created("created", created)
        if when is not None:
            entry.append(("created", rfc3339(when)))
        entry.append(("created_by", check.text("created_by", created_by)))
        texts = (("author", author), ("comment", comment))
        entry += ((name, text) for name, text in texts if check.value_text(name, text))
        if check.flag("empty_layer", empty_layer):
            entry.append(("empty_layer", True))
        return self._with_spec(attrs.evolve(self.spec, history=(*self.spec.history, tuple(entry))))

    def _with_spec(self, spec: ImageSpec) -> Self:
        return self.__class__(self.output, self.meta, spec, self.exec)


def _set(pairs: tuple[tuple[str, str], ...], pair: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return (*(old for old in pairs if old[0] != pair[0]), pair)


def _add(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*old, *new)))


def _port(port: int | str) -> str:
    match = re.match(_PORT, str(port) if isinstance(port, int) else check.text("a port", port))
    if match is None or not 1 <= int(match.group(1)) <= 65535:
        raise OptionError(f"a port is {port!r}; write a number from 1 to 65535, alone or as '53/udp'")
    return f"{int(match.group(1))}/{match.group(2) or 'tcp'}"


def _signal(signal: str | int) -> str:
    if isinstance(signal, int):
        return str(check.integer("stop_signal", signal, 1, _SIGNAL_MAX))
    name = check.text("stop_signal", signal)
    bare = name.upper().removeprefix("SIG")
    if name != "SIG" + bare or bare not in _SIGNALS:
        hint = "SIG" + bare if bare in _SIGNALS else "SIGTERM"
        raise OptionError(f"stop_signal is {name!r}; write a signal's name, {hint!r} say, or its number")
    return name


def _pause(what: str, value: float | str) -> int:
    nanoseconds = check.duration(what, value)
    if 0 < nanoseconds < _MILLISECOND:
        raise OptionError(f"{what} is {value!r}; engines take no less than 1ms, or 0 for their default")
    return nanoseconds


def _test(test: str | Sequence[str] | None) -> tuple[str, ...]:
    if test is None:
        return ()
    if isinstance(test, str):
        return "CMD-SHELL", check.text("the test of a healthcheck", test)
    words = check.words("the test of a healthcheck", test)
    if words[0] in ("NONE", "CMD", "CMD-SHELL"):
        right = "write None for no check, a str for the shell, or the words of the command alone"
        raise OptionError(f"the test of a healthcheck begins with {words[0]!r}, which the image config adds; {right}")
    return "CMD", *words
