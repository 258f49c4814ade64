"""What a command sees and may do, by the options of run and the values of its state."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from pyllb import FS, Client, bind, fs, proxy, resources
from pyllb.errors import ExecError
from tests.integration.effects import BUSYBOX, case, fails, files, fresh, said


def step(command: str, base: FS = BUSYBOX, **options: object) -> FS:
    """A command that has not run before."""
    return base.run(fresh(command), **options)  # type: ignore[arg-type]  # options of any kind, by name


def limit(first: str, second: str) -> str:
    """A command that looks at its own cgroup, of version 1 or 2 as the machine has it."""
    return f"cd /sys/fs/cgroup; if [ -e cgroup.controllers ]; then {second}; else {first}; fi"


MEMORY = limit("cat memory/memory.limit_in_bytes", "cat memory.max")
SHARE = limit("cat cpu/cpu.shares", "[ $(cat cpu.weight) -lt 100 ] && echo 512")  # 100 is what 1024 shares are
QUOTA = limit("cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us", "tr ' ' '\\n' < cpu.max")
NODES = limit("cat cpuset/cpuset.mems", "cat cpuset.mems")
ENV = "env | grep '^[AB]=' | sort"
HOSTS = "grep '10.1.2.3\\|fd00::1' /etc/hosts | tr '\\t' ' '"
# Without those for tunnels, which some kernels have in every network.
DEVICES = "cd /sys/class/net; for d in *; do [ $(cat $d/type) -gt 767 -a $d != lo ] || echo $d; done"
LIMITS = "ulimit -Sn; ulimit -Hn"


@pytest.mark.parametrize(
    ("node", "lines"),
    [
        case("env sets a variable", step(ENV, BUSYBOX.env(A="1")), ["A=1"]),
        case(
            "env keeps a value with spaces, quotes and line ends",
            step('echo "$A"', BUSYBOX.env(A="a 'b\n$c")),
            ["a 'b", "$c"],
        ),
        case("env of an empty value is set", step("echo ${A-unset}.", BUSYBOX.env(A="")), ["."]),
        case("env set again is the later value", step(ENV, BUSYBOX.env(A="1", B="1").env(A="2")), ["A=2", "B=1"]),
        case("env of run is over the state's", step(ENV, BUSYBOX.env(A="1"), env={"A": "2"}), ["A=2"]),
        case("env of run is for that command alone", step(ENV, step("true", env={"B": "2"}).env(A="1")), ["A=1"]),
        case("env is over the image's own", step("/bin/echo $PATH", BUSYBOX.env(PATH="/bin")), ["/bin"]),
        case("env of the image is there without saying so", step("echo ${PATH##*:}"), ["/bin"]),
        case("dir is where the command starts", step("pwd", BUSYBOX.dir("/usr/bin")), ["/usr/bin"]),
        case("dir is relative to the one before", step("pwd", BUSYBOX.dir("/usr").dir("bin")), ["/usr/bin"]),
        case("dir goes up with two dots", step("pwd", BUSYBOX.dir("/usr/bin").dir("..")), ["/usr"]),
        case("dir of run is relative to the state's", step("pwd", BUSYBOX.dir("/usr"), dir="bin"), ["/usr/bin"]),
        case("dir of run is for that command alone", step("pwd", step("true", dir="/usr")), ["/"]),
        case("dir is made when it is missing", step("pwd", BUSYBOX.dir("/made/here")), ["/made/here"]),
        case("user is root without saying so", step("id -u; id -g"), ["0", "0"]),
        case("user by name is looked up in the image", step("id -u; id -g", BUSYBOX.user("nobody")), ["65534"] * 2),
        case("user by number has the group root", step("id -u; id -g", BUSYBOX.user(1234)), ["1234", "0"]),
        case("user with a group by number", step("id -u; id -g", BUSYBOX.user("7:8")), ["7", "8"]),
        case("user with a group by name", step("id -u; id -g", BUSYBOX.user("7:nogroup")), ["7", "65534"]),
        case("user of run is over the state's", step("id -u", BUSYBOX.user(7), user=0), ["0"]),
        case("hostname is what the command sees", step("hostname", BUSYBOX.hostname("builder.lan")), ["builder.lan"]),
        case("hostname of run is over the state's", step("hostname", BUSYBOX.hostname("a"), hostname="b"), ["b"]),
        case("hostname is the daemon's usual one without saying so", step("hostname"), ["buildkitsandbox"]),
        case("extra_host is a line of /etc/hosts", step(HOSTS, BUSYBOX.extra_host("db", "10.1.2.3")), ["10.1.2.3 db"]),
        case(
            "extra_hosts of run go with the state's",
            step(HOSTS, BUSYBOX.extra_host("db", "10.1.2.3"), extra_hosts={"six": "fd00::1"}),
            ["10.1.2.3 db", "fd00::1 six"],
        ),
        case("ulimit sets soft and hard at once", step(LIMITS, BUSYBOX.ulimit("nofile", 100)), ["100", "100"]),
        case("ulimit sets soft and hard apart", step(LIMITS, BUSYBOX.ulimit("nofile", 100, 200)), ["100", "200"]),
        case("ulimit of -1 is none", step("ulimit -Hc", BUSYBOX.ulimit("core", -1)), ["unlimited"]),
        case("ulimits of run are one number", step(LIMITS, ulimits={"nofile": 64}), ["64", "64"]),
        case("ulimits of run are soft and hard", step(LIMITS, ulimits={"nofile": (64, 65)}), ["64", "65"]),
        case(
            "of two limits of one name the later one holds, which is lower",
            step(LIMITS, BUSYBOX.ulimit("nofile", 90), ulimits={"nofile": 64}),
            ["64", "64"],
        ),
        case(
            "shell of the state gets the command as its last word",
            BUSYBOX.shell("/bin/echo", "the command is").run(fresh("a  b").splitlines()[0]),
            ["the command is a  b"],
        ),
        case(
            "shell of run is over the state's",
            step("false; echo on", BUSYBOX.shell("/bin/sh", "-ec"), shell=["/bin/sh", "-c"]),
            ["on"],
        ),
        case("a list is argv, without a shell", BUSYBOX.run(["echo", "$HOME", "a  b"]), ["$HOME a  b"]),
        case(
            "a command of several lines loses its common indent",
            BUSYBOX.run("\n        cat <<END\n        a\n          b\n        END\n        "),
            ["a", "  b"],
        ),
        case(
            "resources limit the memory",
            step(MEMORY, resources=resources(memory="64m")),
            [str(64 << 20)],
        ),
        case(
            "resources give a share of the processor",
            step(SHARE, resources=resources(cpu_shares=512)),
            ["512"],
        ),
        case(
            "resources limit the time on a processor",
            step(
                QUOTA,
                resources=resources(cpu_period=50_000, cpu_quota=20_000),
            ),
            ["20000", "50000"],
        ),
        case("resources choose the processors", step("nproc", resources=resources(cpuset_cpus="0")), ["1"]),
        case(
            "resources choose the memory nodes",
            step(NODES, resources=resources(cpuset_mems="0")),
            ["0"],
        ),
        case("network none has the loopback device alone", step(DEVICES, BUSYBOX.network("none")), ["lo"]),
        case(
            "network of run is over the state's",
            step(DEVICES, BUSYBOX.network("host"), network="none"),
            ["lo"],
        ),
        case(
            "readonly_root leaves mounts alone to be written",
            step("touch /a 2>&1; touch /m/a && ls /m", readonly_root=True, mounts=[bind(fs(), "/m")]).mount("/m"),
            ["touch: /a: Read-only file system", "a"],
        ),
        case("security sandbox may not mount", step("mount -t tmpfs x /tmp 2>/dev/null || echo refused"), ["refused"]),
        case(
            "a command of the insecure mode beside it changes nothing",
            step("mount -t tmpfs x /tmp 2>/dev/null || echo refused", BUSYBOX.security("insecure"), security="sandbox"),
            ["refused"],
        ),
        case("platform of a command is no other machine", step("uname -s", platform="linux/arm64"), ["Linux"]),
    ],
)
def test_a_command_sees(client: Client, node: FS, lines: list[str]) -> None:
    assert said(client, node) == lines


@pytest.mark.parametrize(
    "node",
    [
        case("of run", step("readlink /proc/self/ns/net", network="host")),
        case("of the state", step("readlink /proc/self/ns/net", BUSYBOX.network("host"))),
    ],
)
def test_network_host_is_the_machines_own(client: Client, node: FS) -> None:
    assert said(client, node, allow="network.host") == [os.readlink("/proc/self/ns/net")]


def test_network_sandbox_is_what_there_is_without_saying_so(client: Client) -> None:
    usual = said(client, step("ls /sys/class/net"))
    assert said(client, step("ls /sys/class/net", BUSYBOX.network("none"), network="sandbox")) == usual


@pytest.mark.parametrize(
    "node",
    [
        case("of run", step("mount -t tmpfs x /tmp && echo mounted", security="insecure")),
        case("of the state", step("mount -t tmpfs x /tmp && echo mounted", BUSYBOX.security("insecure"))),
    ],
)
def test_security_insecure_may_mount(client: Client, node: FS) -> None:
    assert said(client, node, allow="security.insecure") == ["mounted"]


@pytest.mark.parametrize(
    ("node", "name"),
    [
        case("security insecure", BUSYBOX.run("true", security="insecure"), "security.insecure"),
        case("network host", BUSYBOX.run("true", network="host"), "network.host"),
    ],
)
def test_a_privilege_that_is_not_allowed_is_refused(client: Client, node: FS, name: str) -> None:
    with fails(f"entitlement '{name}'"):
        client.solve(node)


@pytest.fixture
def cgroup(nonce: str) -> Iterator[str]:
    """The name of a cgroup that is not there, and that is removed in the end: runc makes it and leaves it."""
    yield f"pyllb-{nonce}"
    for top in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()):
        for place in sorted(top.glob(f"pyllb-{nonce}/**/"), reverse=True):
            place.rmdir()


@pytest.mark.parametrize("of_run", [case("of run", True), case("of the state", False)])
def test_cgroup_parent_is_above_the_commands_own_cgroup(client: Client, nonce: str, cgroup: str, of_run: bool) -> None:
    """Seen from outside: with version 2 of cgroups the command sees its own one as the root."""
    command, killed = f"sleep 60\n: {nonce}", [128 + signal.SIGKILL]
    if of_run:
        node = BUSYBOX.run(command, cgroup_parent=cgroup, ok_codes=killed)
    else:
        node = BUSYBOX.cgroup_parent(cgroup).run(command, ok_codes=killed)
    with ThreadPoolExecutor(1, "test-solve") as pool:
        solving = pool.submit(client.solve, node)
        place = running(nonce)
        groups = (place / "cgroup").read_text().splitlines()
        os.kill(int(place.name), signal.SIGKILL)
        solving.result()
    assert all(f"/{cgroup}/" in group for group in groups)
    assert groups


def running(word: str) -> Path:
    """The directory in /proc of the process whose command has a word, as soon as there is one."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended
                if word.encode() in (place / "cmdline").read_bytes():
                    return place
        time.sleep(0.02)
    raise TimeoutError(f"no process has {word} in its command")


def test_the_variables_keep_their_order(client: Client, nonce: str) -> None:
    node = BUSYBOX.env(B="1", A=nonce, C="1").env(B="2").run(["cat", "/proc/self/environ"], env={"0": ""})
    (line,) = said(client, node)
    assert [pair.partition("=")[0] for pair in line.split("\0")][:5] == ["PATH", "A", "C", "B", "0"]


def test_a_proxy_is_in_both_cases_and_in_no_cache_key(client: Client) -> None:
    def with_proxy(host: str) -> FS:
        return BUSYBOX.run(
            "env | grep -i _proxy | sort # of one test alone",
            proxy=proxy(http=f"http://{host}", https="http://s", ftp="http://f", no="n", all="http://a"),
        )

    names = {"http": "http://one", "https": "http://s", "ftp": "http://f", "no": "n", "all": "http://a"}
    both = [
        f"{spelled}={value}" for name, value in names.items() for spelled in (f"{name}_proxy", f"{name}_proxy".upper())
    ]
    assert said(client, with_proxy("one")) == sorted(both)
    assert client.solve(with_proxy("two")).cache.cached == 1


def test_ok_codes_are_no_failure_and_keep_what_the_command_did(client: Client) -> None:
    node = step("echo kept > /out/file; exit 3", ok_codes=[0, 3], mounts=[bind(fs(), "/out")]).mount("/out")
    assert files(client, node) == {"file": b"kept\n"}


def test_an_exit_code_that_ok_codes_leaves_out_fails_even_when_it_is_0(client: Client) -> None:
    with pytest.raises(ExecError) as caught:
        client.solve(step("true", ok_codes=[3]))
    assert caught.value.process_exit_code == 0


def test_a_proxy_that_is_not_named_is_not_there(client: Client) -> None:
    assert said(client, step("env | grep -i _proxy; true", proxy=proxy(no="n"))) == ["no_proxy=n", "NO_PROXY=n"]
