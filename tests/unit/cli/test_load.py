"""Loading a user's build file, and all that can be wrong with it."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

import pytest

from pyllb.cli.load import load, parse_place, running
from pyllb.cli.report import lines
from pyllb.errors import BuildFileError, GraphError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _failure(file: str) -> str:
    with pytest.raises(BuildFileError) as caught:
        load(file)
    assert caught.value.exit_code == 2
    return "\n".join(lines(caught.value))


@pytest.mark.parametrize(
    ("text", "file", "target"),
    [
        ("", "build.py", "default"),
        ("build.py", "build.py", "default"),
        ("build.py:", "build.py", "default"),
        (":image", "build.py", "image"),
        ("a/b.py:the_image", "a/b.py", "the_image"),
        ("a/b.py:the-image", "a/b.py", "the-image"),
        ("odd:dir/b.py", "odd:dir/b.py", "default"),
    ],
)
def test_a_place_is_a_file_and_a_target_with_defaults(text: str, file: str, target: str) -> None:
    place = parse_place(text)

    assert (place.file, place.target) == (file, target)


def test_a_file_that_is_named_like_a_place_is_the_file(here: Path) -> None:
    (here / "a:b").write_text("")

    assert parse_place("a:b").file == "a:b"


def test_a_build_file_imports_its_neighbours_and_the_path_is_as_before(here: Path) -> None:
    (here / "sub").mkdir()
    (here / "sub/neighbour_of_build.py").write_text("value = 7\n")
    (here / "sub/build.py").write_text("import os\nfrom neighbour_of_build import value\ncwd = os.getcwd()\n")
    before = list(sys.path)

    build = load("sub/build.py")

    assert build.module.value == 7
    assert build.module.cwd == str(here)
    assert build.path == str(here / "sub/build.py")
    assert sys.path == before
    sys.modules.pop("neighbour_of_build")


def test_a_link_to_a_build_file_imports_the_neighbours_of_the_file(here: Path) -> None:
    (here / "sub").mkdir()
    (here / "sub/neighbour_of_link.py").write_text("value = 8\n")
    (here / "sub/build.py").write_text("from neighbour_of_link import value\n")
    (here / "link.py").symlink_to("sub/build.py")

    assert load("link.py").module.value == 8
    sys.modules.pop("neighbour_of_link")


def test_what_a_program_that_a_build_file_starts_writes_goes_to_stderr(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (here / "build.py").write_text(
        "import os, subprocess\nsubprocess.run(['echo', 'from echo'])\nos.write(1, b'raw')\n"
    )
    load("build.py")
    print("afterwards")

    said = capfd.readouterr()
    assert (said.out, said.err) == ("afterwards\n", "from echo\nraw")


def test_two_files_of_one_name_are_two_modules(here: Path) -> None:
    for name in "ab":
        (here / name).mkdir()
        (here / name / "build.py").write_text(f"name = {name!r}\n")

    first, second = load("a/build.py").module, load("b/build.py").module

    assert (first.name, second.name) == ("a", "b")
    assert sys.modules[first.__name__] is first
    assert sys.modules[second.__name__] is second


def test_tracebacks_show_the_text_that_ran_even_when_the_file_changed_since(here: Path) -> None:
    (here / "build.py").write_text("def broken():\n    return 1 / 0  # as it was\n")
    build = load("build.py")
    (here / "build.py").write_text("def broken():\n    return 'rewritten meanwhile'\n")

    with pytest.raises(ZeroDivisionError) as caught:
        build.module.broken()

    assert "as it was" in "".join(traceback.format_exception(caught.value))


def test_a_form_feed_ends_no_line(here: Path) -> None:
    Path("build.py").write_text("one = 1\n\f\nraise ValueError('at three')\n")

    assert " >    3 | raise ValueError('at three')" in _failure("build.py").splitlines()


def test_dataclasses_and_lazy_annotations_work_in_a_build_file(here: Path) -> None:
    (here / "build.py").write_text(
        "from __future__ import annotations\nimport dataclasses, typing\n"
        "@dataclasses.dataclass\nclass A:\n    x: typing.ClassVar[int] = 1\n    y: int = 2\n"
    )

    assert load("build.py").module.A().y == 2


def test_a_file_in_another_encoding_is_read_as_it_says(here: Path) -> None:
    (here / "build.py").write_bytes("# -*- coding: latin-1 -*-\r\nname = 'ä'\r\n".encode("latin-1"))

    assert load("build.py").module.name == "ä"


def test_a_missing_file_is_named_with_a_near_one(here: Path) -> None:
    (here / "build.py").write_text("")

    assert _failure("biuld.py") == "error: no build file 'biuld.py'; did you mean 'build.py'?"
    assert _failure("build") == "error: no build file 'build'; did you mean 'build.py'?"
    assert _failure("x/y.py") == "error: no build file 'x/y.py': there is no directory 'x'"
    assert "FILE[:TARGET]" in _failure("quite-different")


def test_a_directory_is_no_build_file(here: Path) -> None:
    (here / "service").mkdir()
    assert _failure("service") == "error: 'service' is a directory; name a Python file in it"
    (here / "service/build.py").write_text("")
    assert _failure("service") == "error: 'service' is a directory; did you mean 'service/build.py'?"


def test_a_syntax_error_shows_the_line_and_the_place(here: Path) -> None:
    (here / "build.py").write_text("x = 1\nif x:\n    y = (1 +* 2)\n")

    assert _failure("build.py") == "error: build.py:3: invalid syntax\n    y = (1 +* 2)\n            ^"


def test_a_syntax_error_in_an_imported_file_names_that_file(here: Path) -> None:
    (here / "build.py").write_text("import helper_with_bad_syntax\n")
    (here / "helper_with_bad_syntax.py").write_text("def f(:\n")

    assert _failure("build.py").startswith("error: helper_with_bad_syntax.py:1: invalid syntax")


def test_a_syntax_error_in_a_text_that_is_no_file_shows_the_line_that_read_it(here: Path) -> None:
    (here / "build.py").write_text("import ast\n\nast.literal_eval('f(')\n")

    assert _failure("build.py").splitlines()[:1] == ["build.py:3"]
    assert "build.py raised SyntaxError: " in _failure("build.py")


def test_what_is_not_text_is_no_build_file(here: Path) -> None:
    (here / "binary.py").write_bytes(b"x = '\xff\xfe'\n")
    (here / "nul.py").write_bytes(b"x = 1\0\n")

    assert "'binary.py' is not a Python file" in _failure("binary.py")
    assert _failure("nul.py").startswith("error: 'nul.py' is not a Python file: ")
    assert "null bytes" in _failure("nul.py")


def test_an_exception_that_cannot_be_told_is_still_the_files(here: Path) -> None:
    (here / "build.py").write_text(
        "class Mute(Exception):\n    def __str__(self):\n        raise RuntimeError\n\nraise Mute\n"
    )

    assert _failure("build.py").splitlines()[-1] == "error: build.py raised Mute"


def test_an_exception_in_the_file_shows_only_the_users_frames(here: Path) -> None:
    (here / "build.py").write_text("import json\n\ndef read(text):\n    return json.loads(text)\n\nread('{')\n")

    assert _failure("build.py").splitlines() == [
        "build.py:4 in read",
        "      2 |",
        "      3 | def read(text):",
        " >    4 |     return json.loads(text)",
        "      5 |",
        "      6 | read('{')",
        "called from build.py:6",
        " >    6 | read('{')",
        "error: build.py raised JSONDecodeError: "
        "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    ]


def test_a_file_that_fails_is_not_left_among_the_modules(here: Path) -> None:
    (here / "build.py").write_text("raise RuntimeError\n")

    assert "error: build.py raised RuntimeError" in _failure("build.py")
    assert not [m for m in sys.modules.values() if getattr(m, "__file__", None) == str(here / "build.py")]


def test_a_file_that_ends_python_is_an_error_of_the_file(here: Path) -> None:
    (here / "build.py").write_text("import sys\nsys.exit(0)\n")

    assert "build.py ended Python with exit code 0" in _failure("build.py")


def test_a_graph_error_keeps_its_type_and_shows_the_line_that_made_it(here: Path) -> None:
    (here / "build.py").write_text("from pyllb.ir.platform import parse_platform\n\nparse_platform('?')\n")

    with pytest.raises(GraphError) as caught:
        load("build.py")

    shown = lines(caught.value)
    assert shown[0] == "build.py:3"
    assert " >    3 | parse_platform('?')" in shown
    assert shown[-1].startswith("error: '?' is not a platform")


def test_a_folder_that_a_build_file_put_on_the_path_itself_stays(here: Path) -> None:
    path = str(here / "build.py")
    with running(path):
        sys.path.append("/somewhere")
    assert sys.path[-1] == "/somewhere"
    sys.path.remove("/somewhere")
    assert os.path.dirname(path) not in sys.path
