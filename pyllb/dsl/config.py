"""Configured: the part of a state that the image's config gets (entrypoint, labels, ports, ...)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs

from pyllb.dsl import check
from pyllb.dsl.state import State
from pyllb.errors import OptionError
from pyllb.ir.image import Healthcheck, ImageSpec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

_SIGNAL = r"SIG[A-Z][A-Z0-9+-]*\Z"
_SIGNAL_MAX = 64  # SIGRTMAX
_PORT = r"(\d+)(?:/(tcp|udp|sctp))?\Z"


class Configured(State):
    """A state with the methods of the image config. What is not set is the base image's."""

    __slots__ = ()

    def entrypoint(self, *argv: str) -> Self:
        """Set the image's entrypoint, one str a word; it replaces the base image's, and its cmd.

        Raises OptionError. Image config: Entrypoint.
        """
        return self._with_spec(attrs.evolve(self.spec, entrypoint=check.argv("entrypoint", argv)))

    def cmd(self, *argv: str) -> Self:
        """Set the image's default arguments, or its command when it has no entrypoint.

        Raises OptionError. Image config: Cmd.
        """
        return self._with_spec(attrs.evolve(self.spec, cmd=check.argv("cmd", argv)))

    def label(self, name: str, value: str) -> Self:
        """Set a label; the same name again replaces it. Raises OptionError. Image config: Labels."""
        pair = check.text("the name of a label", name), check.value_text(f"label {name!r}", value)
        return self._with_spec(attrs.evolve(self.spec, labels=_set(self.spec.labels, pair)))

    def annotate(self, name: str, value: str) -> Self:
        """Set an annotation of the image's manifest. Raises OptionError. Exporters: annotations."""
        pair = check.text("the name of an annotation", name), check.value_text(f"annotation {name!r}", value)
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
        seconds, or text such as "30s"; 0 is the engine's default. Raises OptionError. Image config: Healthcheck.
        """
        health = Healthcheck(
            test=_test(test),
            interval=check.duration("interval", interval),
            timeout=check.duration("timeout", timeout),
            start_period=check.duration("start_period", start_period),
            start_interval=check.duration("start_interval", start_interval),
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
    if not re.match(_SIGNAL, check.text("stop_signal", signal)):
        hint = f", {'SIG' + signal.upper().removeprefix('SIG')!r} say" if signal.isalnum() else ", 'SIGTERM' say"
        raise OptionError(f"stop_signal is {signal!r}; write a signal's name{hint}, or its number")
    return signal


def _test(test: str | Sequence[str] | None) -> tuple[str, ...]:
    if test is None:
        return ()
    if isinstance(test, str):
        return "CMD-SHELL", check.text("the test of a healthcheck", test)
    return "CMD", *check.words("the test of a healthcheck", test)
