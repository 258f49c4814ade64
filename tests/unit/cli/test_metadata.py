"""The file of --metadata-file."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from pyllb.cli.metadata import check_metadata_file, metadata_json, write_metadata
from pyllb.errors import UsageError


def _encoded(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def test_objects_in_base64_are_embedded_and_all_else_is_a_string(tmp_path: Path) -> None:
    descriptor = {"digest": "sha256:ab", "size": 3}
    file = tmp_path / "meta.json"
    response = {
        "containerimage.descriptor": _encoded(descriptor),
        "containerimage.digest": "sha256:ab",
        "empty": _encoded({}),
        "list": _encoded([1]),
        "word": "abcd",
    }
    write_metadata(str(file), metadata_json({"": response}))

    assert json.loads(file.read_text()) == {
        "containerimage.descriptor": descriptor,
        "containerimage.digest": "sha256:ab",
        "empty": _encoded({}),
        "list": _encoded([1]),
        "word": "abcd",
    }
    assert file.read_text().startswith('{\n  "containerimage.descriptor": {\n    "digest"')


def test_targets_by_name_have_an_object_each() -> None:
    answers = {"b": {"containerimage.digest": "sha256:b"}, "a": {"x": _encoded({"y": 1})}, "nothing": {}}
    meant = {"b": {"containerimage.digest": "sha256:b"}, "a": {"x": {"y": 1}}, "nothing": {}}
    assert json.loads(metadata_json(answers)) == meant


def test_the_file_is_replaced_whole_with_the_usual_mode(tmp_path: Path) -> None:
    file = tmp_path / "meta.json"
    file.write_text("before" * 1000)
    before = os.umask(0o027)
    try:
        write_metadata(str(file), metadata_json({"": {"a": "b"}}))
    finally:
        os.umask(before)

    assert json.loads(file.read_text()) == {"a": "b"}
    assert file.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["meta.json"]


def test_what_a_link_leads_to_is_replaced_and_not_the_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "meta.json").symlink_to("real/meta.json")
    check_metadata_file(str(tmp_path / "meta.json"))
    write_metadata(str(tmp_path / "meta.json"), metadata_json({"": {"a": "b"}}))

    assert (tmp_path / "meta.json").is_symlink()
    assert json.loads((tmp_path / "real/meta.json").read_text()) == {"a": "b"}


def test_a_named_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        check_metadata_file(str(tmp_path / "pipe"))
        write_metadata(str(tmp_path / "pipe"), metadata_json({"": {"a": "b"}}))
        assert json.loads(os.read(reader, 100)) == {"a": "b"}
    finally:
        os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("place", [".", "missing/meta.json"])
def test_a_place_that_cannot_be_is_refused_before_the_build(place: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--metadata-file"):
        check_metadata_file(str(tmp_path / place))
