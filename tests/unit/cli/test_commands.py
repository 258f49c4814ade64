"""The command, run as users run it: in a process of its own, without a daemon."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import pyllb
from pyllb.marshal.definition import Definition

ROOT = Path(__file__).resolve().parents[3]
BUILD = '''
from pathlib import Path
from typing import Literal
from pyllb import FS, fs, image, local, target


@target
def default(version: str = "dev", *, level: int = 3, mode: Literal["a", "b"] = "a", fast: bool = False,
            tags: list[str] = [], more: tuple[str, ...] = (), place: Path = Path("here"),
            ratio: float | None = None) -> FS:
    """The image of it all.

    Args:
        version: what it says of itself
    """
    print("a print of the build file")
    rest = [type(more).__name__, *more]
    return fs().mkfile("/args", repr((version, level, mode, fast, tags, rest, str(place), ratio)))


@target
def needs(name: str) -> FS:
    return fs().mkfile("/name", name)


@target
def sources() -> FS:
    return fs().copy(local("."), "/", "/a").copy(local("sub", name="other"), "/", "/b")


@target
def nothing() -> None:
    helper()


@target
def number():
    return 7


@target
def several():
    return {"one": fs().mkdir("/a"), "two": fs().mkdir("/b")}


@target
def mixed():
    return [fs().mkdir("/a"), "b"]


@target
def alike():
    return {1: fs(), "1": fs()}


@target
async def later():
    return fs()


@target
def clash(output: str = "x") -> FS:
    return fs()


@target
def raises() -> FS:
    return helper(1)


@target
def wrong() -> FS:
    steps = fs()
    for path in ("/ok", ""):
        steps = made(steps, path)
    return steps


def made(base: FS, path: str) -> FS:
    return base.mkdir(path)


def helper(value: int = 0) -> None:
    if value:
        raise LookupError("no such thing")
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "build.py").write_text(BUILD)
    (tmp_path / "sub").mkdir()
    return tmp_path


def run(cwd: Path, *words: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    settings = {key: value for key, value in os.environ.items() if key not in ("BUILDKIT_HOST", "BUILDKIT_PROGRESS")}
    settings |= {"PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(cwd), **env}
    command = [sys.executable, "-W", "error", "-m", "pyllb.cli", *words]
    return subprocess.run(command, cwd=cwd, env=settings, capture_output=True, check=False, timeout=60)


def refused(cwd: Path, *words: str, code: int = 2) -> str:
    """What a command that is to fail says; no traceback, and nothing on stdout."""
    done = run(cwd, *words)
    text = done.stderr.decode()
    assert (done.returncode, done.stdout) == (code, b""), text
    assert "Traceback" not in text
    assert len(text.splitlines()) < 16, "a message is a few lines"
    return text


def arguments(cwd: Path, *words: str) -> str:
    """The parameters that the target default was called with, from the file that its LLB makes."""
    done = run(cwd, "dump", *words, "--resolve=never")
    assert done.returncode == 0, done.stderr.decode()
    (op,) = (op for _, op in Definition.from_bytes(done.stdout).ops if b"/args" in op)
    return op[op.index(b"('") : op.index(b")", op.index(b"('")) + 1].decode()


def test_parameters_are_flags_of_their_types(project: Path) -> None:
    assert arguments(project) == "('dev', 3, 'a', False, [], ['tuple'], 'here', None)"
    words = ("--version", "1.2", "--level=-4", "--mode", "b", "--fast", "--tags", "x", "--tags", "y", "--more", "z")
    told = "('1.2', -4, 'b', True, ['x', 'y'], ['tuple', 'z'], 'p/q', 0.5)"
    assert arguments(project, "build.py:default", *words, "--place", "p/q", "--ratio", "0.5") == told
    assert arguments(project, "--no-fast", ":default") == "('dev', 3, 'a', False, [], ['tuple'], 'here', None)"


def test_flags_may_stand_before_the_file(project: Path) -> None:
    assert arguments(project, "--version", "9", "build.py").startswith("('9', ")
    assert arguments(project, "--platform", "linux/arm64", "build.py").startswith("('dev', ")
    (project / "other.py").write_text("from pyllb import fs, target\n@target\ndef t(x: str): return fs().mkdir(x)\n")
    assert run(project, "dump", "--x", "/d", "other.py:t", "--resolve=never").returncode == 0


def test_what_a_build_file_prints_is_not_in_the_dump(project: Path) -> None:
    done = run(project, "dump", "--resolve=never")

    assert b"a print of the build file" in done.stderr
    assert b"a print of the build file" not in done.stdout.split(b"from pathlib")[0]


def test_dump_is_what_the_library_gives(project: Path) -> None:
    done = run(
        project, "dump", ":needs", "--name", "x", "--resolve=never", "--no-source-map", "--platform", "linux/arm64"
    )
    node = pyllb.fs().mkfile("/name", "x")

    assert Definition.from_bytes(done.stdout).ops == pyllb.dump(node, platform="linux/arm64", source_map=False).ops


def test_dump_says_which_directories_buildctl_needs(project: Path) -> None:
    done = run(project, "dump", ":sources", "--resolve=never")
    assert done.stderr.decode() == "buildctl needs: --local context=. --local other=sub\n"

    elsewhere = run(project / "sub", "dump", "../build.py:sources")
    assert f"--local context={project}" in elsewhere.stderr.decode()


def test_dump_without_images_asks_no_daemon(project: Path) -> None:
    assert run(project, "dump", BUILDKIT_HOST="unix:///nowhere").returncode == 0


def test_dump_refuses_a_terminal(project: Path) -> None:
    leader, follower = pty.openpty()
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pyllb.cli", "dump", "--resolve=never"]
    done = subprocess.run(
        command, cwd=project, env=env, stdout=follower, stderr=subprocess.PIPE, check=False, timeout=60
    )
    os.close(follower)
    os.close(leader)

    assert done.returncode == 2
    assert b"stdout is a terminal" in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_ends_the_command_quietly(project: Path, unbuffered: str) -> None:
    (project / "big.py").write_text(
        "from pyllb import fs, target\n@target\ndef default(): return fs().mkfile('/x', 'x' * 5_000_000)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered}
    command = [sys.executable, "-m", "pyllb.cli", "dump", "big.py", "--resolve=never"]
    with subprocess.Popen(command, cwd=project, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 1


@pytest.mark.parametrize(
    ("redirect", "words", "message"),
    [
        ("> /dev/full", ("dump", ":needs", "--name", "a"), "No space left on device"),
        ("> /dev/full", ("ls",), "No space left on device"),
        (">&-", ("dump", ":needs", "--name", "a"), "Bad file descriptor"),
        (">&-", ("ls",), "Bad file descriptor"),
    ],
)
def test_a_stdout_that_takes_nothing_is_told_in_a_line(
    project: Path, redirect: str, words: tuple[str, ...], message: str
) -> None:
    script = f'exec "$@" {redirect}'
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", sys.executable, "-W", "error", "-m", "pyllb.cli", *words],
        cwd=project,
        env=env,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )

    text = done.stderr.decode().replace("a print of the build file\n", "")
    assert (done.returncode, text) == (1, f"error: {message}\n")


def test_ls_lists_targets_with_docs_and_flags(project: Path) -> None:
    done = run(project, "ls")
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    assert text.startswith("default\n  The image of it all.\n")
    assert "  --version str (default: dev)\n      what it says of itself\n" in text
    assert "  --mode a|b (default: a)\n" in text
    assert "\n\nneeds\n  --name str (required)\n\nsources\n" in text

    assert run(project, "ls", ":needs").stdout == b"needs\n  --name str (required)\n"


def test_help_shows_the_targets_own_flags_and_works_without_a_file(project: Path, tmp_path: Path) -> None:
    text = run(project, "solve", "build.py:default", "--help").stdout.decode()
    assert "Parameters of the target default:" in text
    assert "--version TEXT" in text
    assert "[default: dev]" in text
    assert run(project, "solve", ":needs", "--help").stdout.count(b"[required]") == 1

    general = run(project / "sub", "solve", "--help")
    assert (general.returncode, b"--output" in general.stdout) == (0, True)


def test_an_unknown_target_is_named_with_near_ones_and_all_there_are(project: Path) -> None:
    assert refused(project, "solve", ":defualt") == (
        "error: build.py has no target 'defualt'; did you mean 'default'?\n"
        "it has: default, needs, sources, nothing, number, several, mixed, alike, later, clash, raises, wrong\n"
    )
    (project / "empty.py").write_text("x = 1\n")
    assert "put @pyllb.target above" in refused(project, "ls", "empty.py")


@pytest.mark.parametrize(
    ("target", "message", "line"),
    [
        (":nothing", "returned None; return the FS that it made", "def nothing() -> None:"),
        (":number", "returned an int; return an FS, a list of them, or a dict", "def number():"),
        (":mixed", "returned a str at '1'; every member has to be an FS", "def mixed():"),
        (":alike", "returned the names 1, '1'; as text, each has to be another", "def alike():"),
        (":later", "returned a coroutine; return an FS, a list of them, or a dict", "async def later():"),
        (":several", "returned 2 filesystems (one, two); pyllb dump takes a target with one", "def several():"),
    ],
)
def test_a_target_that_returns_something_else_is_told_so_at_its_line(
    project: Path, target: str, message: str, line: str
) -> None:
    text = refused(project, "dump", target)

    assert message in text.splitlines()[-1]
    assert "Warning" not in text
    assert [row for row in text.splitlines() if row.startswith(" >") and row.endswith(f"| {line}")]


def test_a_syntax_error_is_shown_with_its_line_and_place(project: Path) -> None:
    (project / "broken.py").write_text("from pyllb import fs\n\ndefault = fs(.mkdir('/a')\n")

    assert refused(project, "solve", "broken.py") == (
        "error: broken.py:3: invalid syntax\n    default = fs(.mkdir('/a')\n                 ^\n"
    )


def test_a_relative_target_of_a_cache_is_told_at_its_line(project: Path) -> None:
    (project / "cached.py").write_text(
        "from pyllb import cache, fs, target\n\n\n@target\ndef default():\n"
        "    return fs().image('busybox').run('true', mounts=[cache('mine', 'var/cache')])\n"
    )
    text = refused(project, "solve", "cached.py")

    assert text.startswith("cached.py:6 in default\n")
    assert "'var/cache'" in text.splitlines()[-1]
    assert "/" in text.splitlines()[-1]


def test_wrong_flags_get_one_clear_message(project: Path) -> None:
    assert refused(project, "dump", "--levl", "1") == (
        "error: no such option '--levl'; did you mean '--level'?\nsee pyllb dump --help\n"
    )
    assert "'--level': 'x' is not a valid integer" in refused(project, "dump", "--level", "x")
    assert "'c' is not one of 'a', 'b'" in refused(project, "dump", "--mode", "c")
    assert refused(project, "dump", ":needs") == "error: missing option '--name'\nsee pyllb dump --help\n"
    assert "--output, which is the command's own" in refused(project, "solve", ":clash")
    assert "no such command 'sovle'; did you mean 'solve'?" in refused(project, "sovle")


@pytest.mark.parametrize(
    ("command", "parameters", "message"),
    [
        ("solve", "cache: bool = True", "'cache' of target 'default' would be --no-cache, which is the command's own"),
        ("dump", "no_source_map: bool = False", "would be --no-source-map, which is the command's own"),
        ("dump", "a: bool = True, no_a: bool = False", "'no_a' of target 'default' would be --no-a, which 'a' has too"),
    ],
)
def test_a_flag_means_one_thing(project: Path, command: str, parameters: str, message: str) -> None:
    (project / "flags.py").write_text(f"from pyllb import fs, target\n\n@target\ndef default({parameters}): ...\n")

    assert message in refused(project, command, "flags.py")


def test_a_decorator_above_the_targets_own_is_called(project: Path) -> None:
    (project / "wrapped.py").write_text(
        "import functools\nfrom pyllb import fs, target\n\n"
        "def deeper(function):\n"
        "    return functools.wraps(function)(lambda **values: function(**values).mkdir('/deeper'))\n\n"
        "@deeper\n@target\ndef default(name: str = '/a'): return fs().mkdir(name)\n"
    )

    assert b"/deeper" in run(project, "dump", "--resolve=never", "wrapped.py").stdout


def test_two_targets_of_one_name_are_refused_with_both_places(project: Path) -> None:
    (project / "twice.py").write_text(
        "from pyllb import fs, target\n\n@target\ndef app(): return fs()\n\n"
        "@target(name='app')\ndef other(): return fs()\n"
    )
    text = refused(project, "ls", "twice.py")

    assert text.splitlines()[-1] == "error: twice.py has two targets 'app', in lines 4 and 7; give one another name"


def test_an_exception_in_a_target_shows_the_users_frames(project: Path) -> None:
    text = refused(project, "solve", ":raises").splitlines()

    assert text[0].endswith(" in helper")
    assert " in raises" in "".join(text)
    assert text[-1] == "error: build.py raised LookupError: no such thing"
    assert b"Traceback" in run(project, "solve", ":raises", "--debug").stderr


def test_a_wrong_value_shows_the_helper_and_the_loop_that_called_it(project: Path) -> None:
    text = refused(project, "dump", ":wrong")

    assert "return base.mkdir(path)" in text
    assert "called from build.py:" in text
    assert "steps = made(steps, path)" in text


@pytest.mark.parametrize(
    "words",
    [
        ("--output", "dest=out"),
        ("--output", "type=lokal,dest=out"),
        ("--output", "type=local,dest=build.py"),
        ("--output", "type=tar,dest=sub"),
        ("--cache-to", "type=registry"),
        ("--secret", "src=x"),
        ("--secret", "id=x,src=missing"),
        ("--allow", "network.hots"),
        ("--local", "context"),
        ("--local", "nope=."),
        ("--timeout", "soon"),
        ("--progress", "fancy"),
        ("--progress", "tty"),
        ("--platform", "???"),
        ("--platform", "linux/amd64,linux/amd64"),
        ("--metadata-file", "missing/meta.json"),
    ],
)
def test_a_bad_option_is_refused_before_any_daemon_is_asked(project: Path, words: tuple[str, ...]) -> None:
    text = refused(project, "solve", "--addr", "unix:///nowhere", *words)

    assert "nowhere" not in text
    assert text.splitlines()[-1].startswith(("error: ", "see pyllb"))


def test_without_a_daemon_three_lines_say_what_to_do(project: Path) -> None:
    text = refused(project, "solve", code=3)

    assert len([line for line in text.splitlines() if line != "a print of the build file"]) == 3
    assert "pyllb engine" in text


def test_a_socket_that_is_not_there_is_named(project: Path) -> None:
    assert "'/nowhere'" in refused(project, "solve", "--addr", "unix:///nowhere", code=3)


def test_the_version_is_the_distributions(project: Path) -> None:
    text = (ROOT / "pyproject.toml").read_text()

    assert run(project, "--version").stdout.decode().split() == ["pyllb", text.split('version = "')[1].split('"')[0]]


def test_no_command_is_a_mistake(project: Path) -> None:
    assert refused(project) == "error: missing command\nsee pyllb --help\n"
    near = "error: no such command 'strat'; did you mean one of: 'start', 'status'?\nsee pyllb engine --help\n"
    assert refused(project, "engine", "strat") == near
    assert refused(project, "engine") == "error: missing command\nsee pyllb engine --help\n"


def test_engine_find_prints_the_address_alone(project: Path) -> None:
    assert run(project, "engine", "find", "--addr", "tcp://somewhere:1").stdout == b"tcp://somewhere:1\n"
    assert run(project, "engine", "find", BUILDKIT_HOST="tcp://other:1").stdout == b"tcp://other:1\n"
    assert "pyllb engine start" in refused(project, "engine", "find", code=3)
    assert "'foo' is not a daemon's address" in refused(project, "engine", "find", "--addr", "foo")


def test_engine_start_reads_its_mirrors_first(project: Path) -> None:
    assert "--mirror 'docker.io' is not HOST=MIRROR" in refused(project, "engine", "start", "--mirror", "docker.io")
