"""What mounts give to a command, and what is left of them after it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyllb import FS, Client, bind, cache, fs, image, merge, mkdir, mkfile, secret, ssh, tmpfs
from pyllb.client import Result
from pyllb.ir.mounts import ContentCache, Mount, Sharing
from tests.integration.effects import BUSYBOX, case, fails, files, fresh, said

SOURCE = fs().file(mkdir("/sub"), mkfile("/a", "A\n"), mkfile("/sub/b", "B\n"))


def step(command: str, *mounts: object, base: FS = BUSYBOX, **options: object) -> FS:
    """A command that has not run before, with mounts."""
    return base.run(fresh(command), mounts=mounts, **options)  # type: ignore[arg-type]  # options of any kind, by name


@pytest.mark.parametrize(
    ("node", "lines"),
    [
        case("bind shows another filesystem", step("cat /m/a; ls /m", bind(SOURCE, "/m")), ["A", "a", "sub"]),
        case("bind of an empty filesystem is an empty directory", step("ls -A /m", bind(fs(), "/m")), []),
        case(
            "bind hides what the image has there",
            step("ls /home /usr", bind(SOURCE, "/usr")),
            ["/home:", "", "/usr:", "a", "sub"],
        ),
        case("bind inside another bind is found", step("cat /m/n/a", bind(SOURCE, "/m/n"), bind(fs(), "/m")), ["A"]),
        case("selector shows a directory of it", step("ls /m", bind(SOURCE, "/m", selector="/sub")), ["b"]),
        case("selector may be a file", step("cat /f", bind(SOURCE, "/f", selector="sub/b")), ["B"]),
        case(
            "readonly refuses writes",
            step("touch /m/x 2>&1; ls /m", bind(SOURCE, "/m", readonly=True)),
            ["touch: /m/x: Read-only file system", "a", "sub"],
        ),
        case("bind can be written without saying so", step("touch /m/x; ls /m", bind(SOURCE, "/m")), ["a", "sub", "x"]),
        case(
            "no_output can be written", step("touch /m/x; ls /m", bind(SOURCE, "/m", no_output=True)), ["a", "sub", "x"]
        ),
        case("tmpfs is empty and in memory", step("ls -A /t; stat -f -c %T /t", tmpfs("/t")), ["tmpfs"]),
        case(
            "tmpfs has the size",
            step("df -k /t | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2", tmpfs("/t", size="4m")),
            ["4096"],
        ),
        case(
            "tmpfs takes no more than its size",
            step("dd if=/dev/zero of=/t/f bs=1k count=2000 2>/dev/null; wc -c < /t/f", tmpfs("/t", size=1 << 20)),
            [str(1 << 20)],
        ),
        case(
            "tmpfs of one command is not the next one's",
            step("ls -A /t", tmpfs("/t"), base=BUSYBOX.run("touch /t/x", mounts=[tmpfs("/t")])),
            [],
        ),
        case(
            "a cache says where it is by its variables",
            step("echo $WHERE", cache("w", "/w", env={"WHERE": "/w"})),
            ["/w"],
        ),
        case("a known cache says where it is", step("echo $PIP_CACHE_DIR", cache("pip", "/there")), ["/there"]),
        case(
            "a cache's variable is over the image's own",
            step("echo $PATH", cache("w", "/w", env={"PATH": "/bin"})),
            ["/bin"],
        ),
        case(
            "a cache's variable is under the build's own",
            step("echo $WHERE", cache("w", "/w", env={"WHERE": "/w"}), base=BUSYBOX.env(WHERE="mine")),
            ["mine"],
        ),
        case("a cache that is new is empty", step("ls -A /c", cache("never-used-before", "/c")), []),
    ],
)
def test_a_command_sees(client: Client, node: FS, lines: list[str]) -> None:
    assert said(client, node) == lines


@pytest.mark.parametrize(
    ("node", "contents"),
    [
        case(
            "a changed bind is its source and the change",
            step("echo x > /m/x; rm /m/a", bind(SOURCE, "/m")).mount("/m"),
            {"sub/b": b"B\n", "x": b"x\n"},
        ),
        case(
            "a changed bind of an empty filesystem is the change alone",
            step("echo x > /m/x", bind(fs(), "/m")).mount("/m"),
            {"x": b"x\n"},
        ),
        case(
            "two changed binds are two results",
            merge(
                *(lambda done: (done.mount("/n"), done.mount("/m")))(
                    step("echo m > /m/m; echo n > /n/n", bind(fs(), "/m"), bind(fs(), "/n"))
                )
            ),
            {"m": b"m\n", "n": b"n\n"},
        ),
        case(
            "a changed bind with a selector is all of its source",
            step("echo x > /m/x", bind(SOURCE, "/m", selector="/sub")).mount("/m"),
            {"a": b"A\n", "sub/b": b"B\n", "sub/x": b"x\n"},
        ),
        case(
            "a readonly bind is its source",
            step("true", bind(SOURCE, "/m", readonly=True)).mount("/m"),
            {"a": b"A\n", "sub/b": b"B\n"},
        ),
        case(
            "the source of a bind is not changed by it",
            merge(fs().copy(step("rm /m/a; touch /x", bind(SOURCE, "/m")), "/x", "/"), SOURCE),
            {"a": b"A\n", "sub/b": b"B\n", "x": b""},
        ),
        case(
            "a mount leaves nothing in the root, not even its directory",
            fs().copy(
                step(
                    "mkdir /kept; touch /m/x /c/x /t/x /n/x",
                    bind(fs(), "/m"),
                    tmpfs("/t"),
                    cache("left", "/c"),
                    bind(fs(), "/n", no_output=True),
                ),
                "/[cmknt]*",
                "/",
                wildcard=True,
                exclude=["**/hosts"],
            ),
            {},
        ),
    ],
)
def test_the_result_has(client: Client, node: FS, contents: dict[str, bytes]) -> None:
    assert files(client, node) == contents


def test_a_mount_without_output_has_no_result() -> None:
    with fails("no_output=True"):
        step("true", bind(fs(), "/m", no_output=True)).mount("/m")


def _read_only(source: FS, content_cache: ContentCache) -> Mount:
    return bind(source, "/m", readonly=True, content_cache=content_cache)


def _seeded(source: FS, content_cache: ContentCache) -> Mount:
    return cache("seeded", "/m", source=source, content_cache=content_cache)


@pytest.mark.parametrize("mounted", [_read_only, _seeded])
@pytest.mark.parametrize(("content_cache", "cached"), [("default", 1), ("on", 1), ("off", 0)])
def test_content_cache_finds_a_command_by_the_content_of_its_mount(
    client: Client,
    nonce: str,
    content_cache: ContentCache,
    cached: int,
    mounted: Callable[[FS, ContentCache], Mount],
) -> None:
    def reading(source: FS) -> Result:
        mount = mounted(source, content_cache)
        return client.solve(BUSYBOX.run(f"cat /m/a # {nonce}", mounts=[mount]))

    direct = fs().mkfile("/a", nonce, created=1)
    roundabout = fs().file(mkfile("/a", nonce + "!", created=1)).file(mkfile("/a", nonce, created=1))
    reading(direct)
    steps = [one for one in reading(roundabout).steps if one.name.startswith("/bin/sh")]
    assert [step.cached for step in steps] == [bool(cached)]


# Caches


def test_a_cache_keeps_its_content_between_solves(client: Client, nonce: str) -> None:
    client.solve(step("echo kept > /c/x", cache(nonce, "/c")))
    assert said(client, step("cat /elsewhere/x", cache(nonce, "/elsewhere"))) == ["kept"]


def test_a_cache_of_another_id_is_another_one(client: Client, nonce: str) -> None:
    client.solve(step("echo kept > /c/x", cache(nonce, "/c")))
    assert said(client, step("ls -A /c", cache(nonce + "-other", "/c"))) == []


def test_a_cache_by_its_path_is_one_of_that_path(client: Client, nonce: str) -> None:
    client.solve(step("echo kept > x", cache(f"/{nonce}"), dir=f"/{nonce}"))
    assert said(client, step("cat x", cache(f"/{nonce}"), dir=f"/{nonce}")) == ["kept"]


def test_a_cache_by_its_exact_id_is_one_wherever_it_is_mounted(client: Client, nonce: str) -> None:
    client.solve(step("echo kept > /c/x", cache("/c", id=f"/{nonce}")))
    assert said(client, step("cat /elsewhere/x", cache("/elsewhere", id=f"/{nonce}"))) == ["kept"]
    assert said(client, step("ls -A /c", cache(nonce, "/c"))) == []


def test_a_cache_starts_from_its_source_and_keeps_what_is_changed(client: Client, nonce: str) -> None:
    seeded = cache(nonce, "/c", source=SOURCE)
    assert said(client, step("cat /c/a; echo changed > /c/a", seeded)) == ["A"]
    assert said(client, step("cat /c/a", seeded)) == ["changed"]


def test_a_cache_of_another_source_is_another_one(client: Client, nonce: str) -> None:
    client.solve(step("echo changed > /c/a", cache(nonce, "/c", source=SOURCE)))
    assert said(client, step("cat /c/a", cache(nonce, "/c", source=fs().mkfile("/a", "other")))) == ["other"]


def test_a_caches_selector_is_a_path_of_its_source(client: Client, nonce: str) -> None:
    assert said(client, step("ls /c", cache(nonce, "/c", source=SOURCE, selector="/sub"))) == ["b"]


def test_a_readonly_cache_is_read_and_not_written(client: Client, nonce: str) -> None:
    client.solve(step("echo kept > /c/x", cache(nonce, "/c")))
    node = step("cat /c/x; touch /c/y 2>&1", cache(nonce, "/c", readonly=True))
    assert said(client, node) == ["kept", "touch: /c/y: Read-only file system"]


MEET = """
touch /c/$ME /meet/$ME
for i in $(seq $TIMES); do [ -e /meet/$OTHER ] && met=1 && break; sleep 0.05; done
[ -e /c/$OTHER ] && same=1
echo ${met:+met }${same:+same}
"""


@pytest.mark.parametrize(
    ("sharing", "times", "lines"),
    [
        case("shared is used by both at once", "shared", 200, ["met same", "met same"]),
        case("private is another one while it is busy", "private", 200, ["met", "met"]),
        case("locked is used by one after the other", "locked", 10, ["", "met same"]),
    ],
)
def test_two_commands_with_one_cache(
    client: Client, nonce: str, sharing: Sharing, times: int, lines: list[str]
) -> None:
    """They tell each other in a second cache that they are there: TIMES is how often one looks for the other."""

    def meeting(me: str, other: str) -> FS:
        mounts = cache(nonce, "/c", sharing=sharing), cache(f"{nonce}-meet", "/meet"), bind(fs(), "/out")
        return step(MEET, *mounts, env={"ME": me, "OTHER": other, "TIMES": str(times)}).mount("/out")

    assert sorted(line.rstrip() for line in said(client, merge(meeting("a", "b"), meeting("b", "a")))) == lines


# Secrets and agents


@pytest.mark.parametrize(
    ("node", "lines"),
    [
        case("a secret is a file below /run/secrets", step("cat /run/secrets/token", secret("token")), ["the token"]),
        case(
            "a secret of an id with slashes has its last part",
            step("cat /run/secrets/token", secret("a/b/token")),
            ["the token"],
        ),
        case(
            "a secret is where its target says",
            step("cat /root/.netrc", secret("token", "/root/.netrc")),
            ["the token"],
        ),
        case(
            "a secret is its owner's alone", step("stat -c '%u %g %a' /run/secrets/token", secret("token")), ["0 0 400"]
        ),
        case(
            "a secret has the owner and the mode that it is given",
            step("stat -c '%u %g %a' /t", secret("token", "/t", uid=7, gid=8, mode=0o440)),
            ["7 8 440"],
        ),
        case(
            "a secret of another user can be read by that one",
            step("cat /t", secret("token", "/t", uid=7), user=7),
            ["the token"],
        ),
        case("a secret is in memory", step("stat -f -c %T /t", secret("token", "/t")), ["tmpfs"]),
        case(
            "a secret may be a variable",
            step("echo $T; ls /run/secrets 2>/dev/null", secret("token", env="T")),
            ["the token"],
        ),
        case(
            "a secret may be both", step("echo $T; cat /t", secret("token", "/t", env="T")), ["the token", "the token"]
        ),
        case(
            "a secret that is optional may be missing",
            step("ls /t 2>/dev/null || echo none", secret("missing", "/t", optional=True)),
            ["none"],
        ),
        case(
            "a variable that is optional is empty when it is missing",
            step("echo ${T-none}.", secret("missing", env="T", optional=True)),
            ["."],
        ),
        case(
            "a secret is not there for the next command",
            step("ls /t 2>/dev/null || echo none", base=BUSYBOX.run("true", mounts=[secret("token", "/t")])),
            ["none"],
        ),
    ],
)
def test_a_command_is_given(client: Client, node: FS, lines: list[str]) -> None:
    secrets = {"token": "the token\n", "a/b/token": "the token\n"}
    assert [line for line in said(client, node, secrets=secrets) if line] == lines


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of an ssh agent that holds one key, whose comment is "the key"."""
    place = tmp_path_factory.mktemp("agent")
    socket, key = place / "s", place / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "the key", "-f", key], check=True)
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL) as running:
        try:
            deadline = time.monotonic() + 10
            while not socket.exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            subprocess.run(["ssh-add", "-q", key], check=True, env={"SSH_AUTH_SOCK": str(socket)})
            yield socket
        finally:
            running.terminate()


# Asks for the agent's keys (draft-ietf-sshm-ssh-agent, messages 11 and 12) and prints the number and the comments.
KEYS = """python3 -c '
import os, socket, struct
agent = socket.socket(socket.AF_UNIX)
agent.connect(os.environ["SSH_AUTH_SOCK"])
agent.sendall(struct.pack(">IB", 1, 11))
answer = agent.makefile("rb")
read = lambda: answer.read(struct.unpack(">I", answer.read(4))[0])
answer.read(5)
count = struct.unpack(">I", answer.read(4))[0]
print(count, *(read() and read().decode() for _ in range(count)))
'"""


@pytest.mark.parametrize(
    ("node", "lines"),
    [
        case("ssh is an agent that holds the client's keys", step(KEYS, ssh(), base=image("python")), ["1 the key"]),
        case("ssh says where the socket is", step("echo $SSH_AUTH_SOCK", ssh()), ["/run/buildkit/ssh_agent.0"]),
        case(
            "ssh is where its target says",
            step("echo $SSH_AUTH_SOCK; [ -S /a ] && echo there", ssh(target="/a")),
            ["/a", "there"],
        ),
        case(
            "ssh leaves the build's own variable alone",
            step("echo $SSH_AUTH_SOCK", ssh(), base=BUSYBOX.env(SSH_AUTH_SOCK="/mine")),
            ["/mine"],
        ),
        case("ssh is its owner's alone", step("stat -c '%u %g %a' /a", ssh(target="/a")), ["0 0 600"]),
        case(
            "ssh has the owner and the mode that it is given",
            step("stat -c '%u %g %a' /a", ssh(target="/a", uid=7, gid=8, mode=0o660)),
            ["7 8 660"],
        ),
        case(
            "two agents are two sockets, the first one is told",
            step("echo $SSH_AUTH_SOCK; ls /run/buildkit", ssh(), ssh("deploy")),
            ["/run/buildkit/ssh_agent.0", "ssh_agent.0", "ssh_agent.1"],
        ),
        case(
            "ssh that is optional may be missing",
            step("ls /run/buildkit 2>/dev/null || echo none", ssh("missing", optional=True)),
            ["none"],
        ),
    ],
)
def test_a_command_is_given_an_agent(client: Client, agent: Path, node: FS, lines: list[str]) -> None:
    assert said(client, node, ssh={"default": str(agent), "deploy": str(agent)}) == lines
