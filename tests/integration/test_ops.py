"""Ops and options on a real daemon, each by what it does there."""

from __future__ import annotations

import json
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from pyllb import (
    FS,
    Client,
    Definition,
    bind,
    constraints,
    definition,
    dump,
    fs,
    image,
    image_blob,
    local,
    merge,
    passthrough,
)
from pyllb.errors import ExecError

pytestmark = pytest.mark.usefixtures("nothing_left")


def files(client: Client, node: FS, place: Path) -> dict[str, str]:
    """The files of a result by their path, those of /proc and the like left out."""
    client.solve(node, output=f"type=local,dest={place}")
    found = (path for path in sorted(place.rglob("*")) if path.is_file())
    return {str(path.relative_to(place)): path.read_text() for path in found}


def ran(command: str) -> FS:
    """What a command leaves in the directory it starts in, as a filesystem."""
    return image("busybox").run(command, dir="/out", mounts=[bind(fs(), "/out")]).mount("/out")


def test_a_filesystem_that_requires_a_test_is_not_made_when_the_test_fails(
    client: Client, nonce: str, tmp_path: Path
) -> None:
    app = fs().mkfile("/app", nonce)
    assert files(client, app.requires(ran(f"echo {nonce}")), tmp_path / "out") == {"app": nonce}
    with pytest.raises(ExecError) as caught:
        client.solve(app.requires(ran(f"echo {nonce}; exit 3")))
    assert caught.value.process_exit_code == 3


def test_passthrough_hands_each_filesystem_on_as_it_was(client: Client, nonce: str, tmp_path: Path) -> None:
    first, second = passthrough(
        fs().mkfile("/1", "one"), ran(f"echo {nonce} > x"), fs().mkfile("/3", "three"), id="both", outputs=[0, 2]
    )
    assert files(client, merge(second, first), tmp_path / "out") == {"1": "one", "3": "three"}


def test_a_definition_that_a_step_wrote_is_solved(client: Client, nonce: str, tmp_path: Path) -> None:
    inner = ran(f"echo from inside {nonce} > said").copy(fs().mkfile("/x", "x"), "/x", "/y")
    written = fs().mkdir("/d").mkfile("/d/llb.pb", dump(inner).to_bytes())
    found = files(client, written.solve_definition("d/llb.pb", name=f"solve {nonce}"), tmp_path / "out")
    assert found == {"said": f"from inside {nonce}\n", "y": "x"}


def test_a_definition_that_was_read_is_built_upon(client: Client, nonce: str, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "word").write_text(nonce)
    base = fs().copy(local("src", name="src"), "/word", "/w")
    read = Definition.from_bytes(client.dump(base).to_bytes())
    node = definition(read).mkfile("/more", "more")
    client.solve(node, output=f"type=local,dest={tmp_path}/out", local={"src": tmp_path / "src"})
    assert (tmp_path / "out" / "w").read_text() == nonce
    assert (tmp_path / "out" / "more").read_text() == "more"


def test_an_error_in_a_definition_that_was_read_has_the_lines_that_it_came_with(client: Client, nonce: str) -> None:
    read = Definition.from_bytes(client.dump(ran(f"echo {nonce}; exit 5")).to_bytes())
    with pytest.raises(ExecError) as caught:
        client.solve(definition(read).mkdir("/a"))
    assert caught.value.sources[0].filename == __file__


def test_an_image_is_named_with_the_digest_that_it_has(client: Client, tmp_path: Path) -> None:
    made = client.dump(image("busybox", resolve_digest=True).run("true"))
    tree = made.to_tree()
    assert "docker.io/library/busybox:latest@sha256:" in tree
    client.solve(definition(made), output=f"type=oci,dest={tmp_path}/image.tar")


def test_history_and_time_of_creation_are_in_the_image(client: Client, nonce: str, tmp_path: Path) -> None:
    node = image("busybox").mkfile("/a", nonce).history("ENV x", comment=nonce).created(1_700_000_000)
    client.solve(node, output=f"type=oci,dest={tmp_path}/image.tar")
    done = subprocess.run(
        ["skopeo", "inspect", "--config", f"oci-archive:{tmp_path}/image.tar"], capture_output=True, check=True
    )
    config = json.loads(done.stdout)
    assert config["created"] == "2023-11-14T22:13:20Z"
    (ours,) = [entry for entry in config["history"] if entry.get("comment") == nonce]
    assert (ours["created_by"], ours["empty_layer"]) == ("ENV x", True)
    layers = [entry for entry in config["history"] if not entry.get("empty_layer")]
    assert len(layers) == len(config["rootfs"]["diff_ids"])


def test_a_blob_of_a_registry_is_one_file(client: Client, tmp_path: Path) -> None:
    config = client.resolve("docker.io/library/busybox:latest").config
    blob = image_blob(f"busybox@sha256:{sha256(config).hexdigest()}", filename="config.json", mode=0o640)
    assert files(client, blob, tmp_path / "out") == {"config.json": config.decode()}
    assert (tmp_path / "out" / "config.json").stat().st_mode & 0o777 == 0o640


def test_constraints_of_every_op_are_taken(client: Client, nonce: str, tmp_path: Path) -> None:
    made = dump(ran(f"echo {nonce} > x"), constraints=constraints(name=f"all {nonce}", ignore_cache=True))
    result = client.solve(definition(Definition.from_bytes(made.to_bytes())), output=f"type=local,dest={tmp_path}/out")
    assert {step.name for step in result.steps if nonce in step.name} == {f"all {nonce}"}


def test_a_definition_is_solved_as_it_is(client: Client, nonce: str, tmp_path: Path) -> None:
    read = Definition.from_bytes(dump(ran(f"echo {nonce} > x")).to_bytes())
    client.solve(read, output=f"type=local,dest={tmp_path}/out")
    assert (tmp_path / "out" / "x").read_text() == f"{nonce}\n"
