"""The oracle: what BuildKit's Go client/llb makes of a build, asked for as JSON. Go builds it once for its inputs."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import attrs

from tests.testbed import store

_HERE = Path(__file__).resolve().parent
_SOURCES = sorted([*_HERE.rglob("*.go"), _HERE / "go.mod", _HERE / "go.sum"])

JSON = None | bool | int | float | str | Sequence["JSON"] | dict[str, "JSON"]
Program = dict[str, JSON]
"""A build as tests/oracle/program.go describes it: name, nodes, result, platform, unique, resolve."""


class _Info(TypedDict):
    filename: str
    language: str
    data: str


class _Source(TypedDict):
    infos: list[_Info] | None
    locations: dict[str, list[list[int]]]


class _Answer(TypedDict):
    name: str
    error: str
    definition: str
    digests: list[str] | None
    ops: list[str] | None
    metadata: dict[str, dict[str, JSON]]
    source: _Source | None


@attrs.frozen
class Answer:
    """What Go marshals: ops in order with their digests, metadata by digest, the source map, and all of it as bytes."""

    name: str
    ops: tuple[tuple[str, bytes], ...]
    metadata: dict[str, dict[str, JSON]]
    infos: tuple[tuple[str, str, bytes], ...]
    locations: dict[str, list[list[int]]]
    definition: bytes


class OracleError(Exception):
    """Go refuses the program."""


def programs() -> Path:
    """The directory of the oracle's programs, `oracle` and `bench`, built when there are none for these sources."""
    return store.artefact("oracle", store.digest(*_SOURCES), _make)


def _make(place: Path) -> None:
    command = ["go", "build", "-o", f"{place}/oracle", "."]
    subprocess.run(command, cwd=_HERE, check=True)
    subprocess.run(["go", "build", "-o", f"{place}/bench", "./bench"], cwd=_HERE, check=True)


def ask(asked: Sequence[Program]) -> list[Answer | OracleError]:
    """What Go makes of each program, in one run of the oracle."""
    done = subprocess.run([programs() / "oracle"], input=json.dumps(asked), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the oracle failed: {done.stderr}")
    return [_answer(answer) for answer in json.loads(done.stdout)]


def _answer(raw: _Answer) -> Answer | OracleError:
    if raw.get("error"):
        return OracleError(f"{raw['name']}: {raw['error']}")
    ops = [base64.b64decode(op) for op in raw["ops"] or ()]
    source = raw["source"] or {"infos": None, "locations": {}}
    return Answer(
        raw["name"],
        tuple(zip(raw["digests"] or (), ops, strict=True)),
        raw["metadata"],
        tuple(
            (info["filename"], info["language"], base64.b64decode(info["data"] or "")) for info in source["infos"] or ()
        ),
        source["locations"],
        base64.b64decode(raw["definition"] or ""),
    )
