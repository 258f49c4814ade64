"""What the tests of marshal share: lowering with answers from a dict."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import FrameType

from pyllb.dsl.fs import FS
from pyllb.errors import PyllbError
from pyllb.ir.image import ResolvedImage
from pyllb.ir.platform import Platform
from pyllb.marshal.lower import Lowered, ResolveImage, lower
from pyllb.marshal.sourcemap import no_text

AMD64 = Platform("linux", "amd64")


def lowered(
    node: FS,
    answers: Mapping[str, bytes | PyllbError] | None = None,
    *,
    platform: Platform = AMD64,
    read_text: Callable[[str], str | None] = no_text,
) -> Lowered:
    """Lower a node; answers: an image config, or an error, by reference. None resolves nothing."""
    steps = lower(node, platform=platform, local_unique_id="id", resolve=answers is not None, read_text=read_text)
    try:
        asked = next(steps)
        steps.send({request: _answer(request, answers or {}) for request in asked if request.ref in (answers or {})})
    except StopIteration as done:
        result: Lowered = done.value
        return result
    raise AssertionError("asked twice")


def calls(work: Callable[[], object]) -> int:
    """How many functions are called to do it: what stands for its time, which no test measures."""
    count = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def _answer(request: ResolveImage, answers: Mapping[str, bytes | PyllbError]) -> ResolvedImage | PyllbError:
    answer = answers[request.ref]
    return answer if isinstance(answer, PyllbError) else ResolvedImage(request.ref, "sha256:" + "0" * 64, answer)


def requests(node: FS, platform: Platform = AMD64) -> frozenset[ResolveImage]:
    """What lowering asks for."""
    return next(lower(node, platform=platform, local_unique_id="id"))
