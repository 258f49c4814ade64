"""The command `python -m tests.testbed prepare | up | env | down`: the testbed for people."""

from __future__ import annotations

import shlex
import sys

from tests.testbed import prepare, up
from tests.testbed.instance import detached, stop_detached
from tests.testbed.report import say

USAGE = """usage: python -m tests.testbed prepare | up | env | down
  prepare  make what is missing, start nothing
  up       make what is missing, start buildkitd and the registries, print the environment, leave them running
  env      print the environment of the one that was started last, to be read by eval
  down     stop all that `up` has left running"""


def main(arguments: list[str]) -> int:
    """Run one of them; returns the exit code."""
    commands = {"prepare": _prepare, "up": _up, "env": _env, "down": _down}
    if len(arguments) != 1 or arguments[0] not in commands:
        print(USAGE, file=sys.stderr)
        return 2
    return commands[arguments[0]]()


def _prepare() -> int:
    prepare()
    return 0


def _up() -> int:
    testbed = up()
    _print(testbed.env())
    testbed.detach()
    say("it runs on; stop it with: python -m tests.testbed down")
    return 0


def _env() -> int:
    running = detached()
    if not running:
        say("none runs; start one with: python -m tests.testbed up")
        return 3
    _print(running[-1].env)
    return 0


def _down() -> int:
    for one in detached():
        say(f"stopping {one.home}")
        stop_detached(one)
    return 0


def _print(env: dict[str, str]) -> None:
    for name, value in env.items():
        print(f"export {name}={shlex.quote(value)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
