"""The generated part of `pyllb/_pb` is what `protos/generate.py` makes of the .proto files."""

from __future__ import annotations

from pathlib import Path

import pytest

from protos import generate


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("generated") / "fresh"
    generate.generate(into)
    return into


def test_what_is_committed_is_what_the_protos_say(fresh: Path) -> None:
    assert generate.differing(fresh, generate.PACKAGE) == [], "run: python protos/generate.py"


def test_every_proto_has_a_module_and_a_stub() -> None:
    for proto in generate.PROTOS.glob("*.proto"):
        assert (generate.PACKAGE / f"{proto.stem}_pb2.py").exists(), proto.name
        assert (generate.PACKAGE / f"{proto.stem}_pb2.pyi").exists(), proto.name


def test_a_changed_a_missing_and_a_left_over_file_are_each_out_of_date_and_then_replaced(
    fresh: Path, tmp_path: Path
) -> None:
    package = tmp_path / "package"
    package.mkdir()
    generate.replace(fresh, package, generate.differing(fresh, package))
    assert generate.differing(fresh, package) == []

    (package / "ops_pb2.pyi").write_text("changed")
    (package / "wire_pb2.py").unlink()
    (package / "gone_pb2.py").write_text("left over")
    stale = generate.differing(fresh, package)
    assert stale == ["gone_pb2.py", "ops_pb2.pyi", "wire_pb2.py"]

    generate.replace(fresh, package, stale)
    assert generate.differing(fresh, package) == []
    assert not (package / "gone_pb2.py").exists()


def test_no_proto_is_taken_from_a_path_that_only_another_project_has() -> None:
    for proto in generate.PROTOS.glob("*.proto"):
        imports = [line.split('"')[1] for line in proto.read_text().splitlines() if line.startswith("import ")]
        assert all(path.startswith(("pyllb/_pb/", "google/protobuf/")) for path in imports), proto.name
