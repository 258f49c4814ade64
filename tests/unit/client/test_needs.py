"""Needs: what a graph wants of this side, and the directories behind its local sources."""

from __future__ import annotations

import importlib.util
import sys
import zipfile
from pathlib import Path

import pytest

from pyllb import FS, Definition, bind, definition, fs, git, http, image, local, merge, secret, ssh
from pyllb.client.compile import compile_node, dump, user_text
from pyllb.client.needs import check_given, find_needs, resolve_locals, shared_key
from pyllb.errors import NotThereYet, OptionError, UsageError


def names(node: FS) -> dict[str, list[str]]:
    needs = find_needs(node)
    return {
        "secrets": [need.name for need in needs.secrets],
        "ssh": [need.name for need in needs.ssh],
        "entitlements": [need.name for need in needs.entitlements],
        "locals": [need.name for need in needs.locals],
        "layouts": [f"{need.name} {need.ref}" for need in needs.layouts],
    }


def test_every_kind_of_need_is_found_once_wherever_it_is() -> None:
    below = fs().image("a").run("x", mounts=[secret("one"), secret("two", optional=True), bind(local("."), "/src")])
    left = below.run("y", mounts=[secret("one"), ssh(), ssh("git")], network="host")
    right = below.copy(local("sub"), "/", "/").run("z", security="insecure")
    assert names(merge(left, right)) == {
        "secrets": ["one"],
        "ssh": ["default", "git"],
        "entitlements": ["network.host", "security.insecure"],
        "locals": ["context", "sub"],
        "layouts": [],
    }
    assert names(fs()) == {"secrets": [], "ssh": [], "entitlements": [], "locals": [], "layouts": []}


def test_what_is_read_of_oci_layouts_is_found_wherever_it_is() -> None:
    sha = "sha256:" + "1" * 64
    place = f"oci-layout+blob://a/b@{sha}"
    node = merge(
        fs().oci_layout("a/b:1", store="one"),
        fs().oci_layout("a/b:1", store="one").run("x"),
        fs().oci_layout("a/b:2", store="one"),
        fs().oci_layout("a/b:1", store="theirs", session="another client's"),
        fs().oci_layout(f"a/b@{sha}"),
        fs().oci_layout_blob(f"h.io/b@{sha}", store="two"),
        fs().git("https://h.io/r.git", bundle=place, checksum="1" * 40),
        fs().git("https://h.io/r.git", bundle=place, checksum="1" * 40, bundle_store="three"),
        fs().git("https://h.io/r.git", bundle=place.replace("oci-layout", "docker-image"), checksum="1" * 40),
    )
    expected = ["one a/b:1", "one a/b:2", f" a/b@{sha}", f"two h.io/b@{sha}", f"a/b a/b@{sha}", f"three a/b@{sha}"]
    assert names(node)["layouts"] == expected
    again = Definition.from_bytes(dump(node).to_bytes())
    assert sorted(names(fs().definition(again))["layouts"]) == sorted(expected)


def test_sources_need_what_the_daemon_asks_for_without_an_alternative() -> None:
    """Git is tried without a login when there is none; of http, and of ssh, the daemon wants what was named."""
    node = merge(
        git("git@host:n", known_hosts="k", ssh_id="deploy"),
        git("https://host/n", auth_token_secret="tok"),
        http("https://host/a", auth_secret="hdr"),
    )
    assert names(node) == {"secrets": ["hdr"], "ssh": ["deploy"], "entitlements": [], "locals": [], "layouts": []}


def test_a_definition_that_was_read_needs_what_its_ops_need() -> None:
    run = image("a").run("x", mounts=[secret("one"), secret("two", optional=True), secret("three", env="T"), ssh()])
    run = run.run("y", network="host", mounts=[bind(http("https://host/a", auth_secret="hdr"), "/h")])
    made = run.run("z", security="insecure", mounts=[ssh("git"), ssh("no", optional=True), bind(local("sub"), "/s")])
    needed = {
        "secrets": ["one", "three", "hdr"],
        "ssh": ["default", "git"],
        "entitlements": ["network.host", "security.insecure"],
        "locals": ["sub"],
        "layouts": [],
    }
    assert names(made) == needed
    again = definition(Definition.from_bytes(dump(made).to_bytes()))
    assert names(again) == needed
    assert names(again.run("more", mounts=[secret("four")]))["secrets"] == [*needed["secrets"], "four"]


def test_a_directory_that_the_build_names_is_that_of_a_read_definition_too() -> None:
    read = definition(Definition.from_bytes(dump(local("../client")).to_bytes()))
    for node in (merge(read, local("../client")), merge(local("../client"), read)):
        assert resolve_locals(find_needs(node).locals) == {"client": Path(__file__).parent}
    with pytest.raises(UsageError, match=r"'client' has no directory of its own; give local=") as caught:
        resolve_locals(find_needs(read).locals)
    assert caught.value.sources[0].filename == __file__


def test_what_a_read_definition_lacks_is_told_at_the_lines_that_made_it() -> None:
    made = image("a").run("x", mounts=[secret("one")], network="host")
    needs = find_needs(definition(Definition.from_bytes(dump(made).to_bytes())))
    with pytest.raises(UsageError, match="secret 'one' is used here but was not given") as caught:
        check_given(needs, secrets=[], ssh=[], allow=[])
    assert [line.filename for line in caught.value.sources[:1]] == [__file__]
    assert "find_needs" not in caught.value.sources[0].excerpt(0)
    with pytest.raises(UsageError, match=r"needs the entitlement 'network.host'; give allow=") as caught:
        check_given(needs, secrets=["one"], ssh=[], allow=[])
    assert caught.value.sources


def test_devices_in_a_read_definition_are_not_there_yet() -> None:
    made = dump(image("a").run("x", devices=["vendor.com/gpu=0"]))
    with pytest.raises(NotThereYet, match=r"'vendor.com/gpu=0'"):
        find_needs(definition(Definition.from_bytes(made.to_bytes())))


def test_a_deep_graph_is_no_matter() -> None:
    state = fs().image("a")
    for _ in range(5000):
        state = state.run("x", mounts=[secret("s")])
    assert names(state)["secrets"] == ["s"]


def test_all_that_is_missing_is_told_at_once() -> None:
    needs = find_needs(fs().image("a").run("x", mounts=[secret("one"), secret("two")]))
    check_given(needs, secrets=["one", "two"], ssh=[], allow=[])
    with pytest.raises(UsageError, match=r"secret 'one'.*so is 'two' at .*test_needs\.py:\d+"):
        check_given(needs, secrets=[], ssh=[], allow=[])


def test_a_directory_is_relative_to_the_file_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    needs = find_needs(fs().copy(local("../client"), "/", "/"))
    assert resolve_locals(needs.locals) == {"client": Path(__file__).parent}


def test_a_directory_named_in_no_file_is_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, FS] = {}
    exec(compile("from pyllb import fs, local\nnode = fs().copy(local('.'), '/', '/')", "<string>", "exec"), scope)
    assert resolve_locals(find_needs(scope["node"]).locals) == {"context": tmp_path}


def test_an_override_is_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    needs = find_needs(fs().copy(local("nowhere", name="src"), "/", "/"))
    assert resolve_locals(needs.locals, {"src": "other"}) == {"src": tmp_path / "other"}
    (tmp_path / "file").touch()
    with pytest.raises(OptionError, match="is not a directory"):
        resolve_locals(needs.locals, {"src": "file"})


def test_projects_have_keys_of_their_own_and_one_project_keeps_its(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    a, b = ({"context": tmp_path / name} for name in "ab")
    (tmp_path / "link").symlink_to("a")
    assert shared_key(a) == shared_key({"context": tmp_path / "link"}) != shared_key(b)
    assert shared_key({}) == ""


def test_only_the_users_files_are_in_the_source_map() -> None:
    import json

    assert user_text(__file__) == Path(__file__).read_text()
    assert user_text(json.__file__) is None
    assert user_text(pytest.__file__ or "") is None
    assert user_text("<frozen importlib._bootstrap>") is None
    assert user_text("<made up>") == ""
    definition = dump(fs().image("a").run("x"))
    assert [info.filename for info in definition.source.infos] == [__file__]
    assert dump(fs().image("a").run("x"), source_map=False).source.infos == ()


def test_a_dump_takes_image_configs_from_its_resolver() -> None:
    from collections.abc import Mapping

    from pyllb.errors import PyllbError
    from pyllb.ir.image import ResolvedImage
    from pyllb.marshal.lower import ResolveImage

    def resolver(wanted: frozenset[ResolveImage]) -> Mapping[ResolveImage, ResolvedImage | PyllbError]:
        config = b'{"os":"linux","architecture":"amd64","config":{"WorkingDir":"/of-the-image"}}'
        return {image: ResolvedImage(image.ref, "", config) for image in wanted}

    node = fs().image("a").run("x")
    lowered = compile_node(node, platform="linux/amd64", resolver=resolver)
    assert any(b"/of-the-image" in op for _, op in lowered.definition.ops)
    assert not any(b"/of-the-image" in op for _, op in dump(node, platform="linux/amd64").ops)
    assert dump(node).to_bytes() == dump(node).to_bytes()


def test_what_is_no_filesystem_is_told() -> None:
    with pytest.raises(OptionError, match="call it first"):
        dump(fs)  # type: ignore[arg-type]  # the wrong value is the case
    with pytest.raises(OptionError, match="is no filesystem"):
        dump([fs()])  # type: ignore[arg-type]  # the wrong value is the case


def test_the_text_of_a_module_in_an_archive_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "def step(fs):\n    return fs.run('é')\n"
    with zipfile.ZipFile(tmp_path / "helpers.zip", "w") as archive:
        archive.writestr("zipped/__init__.py", "")
        archive.writestr("zipped/steps.py", text)
    monkeypatch.syspath_prepend(str(tmp_path / "helpers.zip"))
    steps = importlib.import_module("zipped.steps")

    made = dump(steps.step(fs().image("alpine")))

    place = made.source_lines(made.digest)[0]
    assert (place.filename, place.line, place.text) == (steps.__file__, 2, text)


def test_no_module_is_loaded_to_find_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lazy one is as soon as any attribute of it is asked for, and may fail."""
    (tmp_path / "lazy_steps.py").write_text("raise ImportError('is loaded')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = importlib.util.find_spec("lazy_steps")
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    lazy = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "lazy_steps", lazy)
    spec.loader.exec_module(lazy)

    assert user_text("/nowhere/build.py") == ""


def test_a_module_that_was_edited_and_loaded_again_has_its_new_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "edited_steps.py"
    for number, text in enumerate(["def step(fs): return fs.run('a')\n", "\n\ndef step(fs): return fs.run('a b')\n"]):
        file.write_text(text)
        module = importlib.import_module("edited_steps")
        if number:
            importlib.reload(module)
        made = dump(module.step(fs().image("alpine")))
        place = made.source_lines(made.digest)[0]
        assert (place.line, place.text) == (text.count("\n"), text)
