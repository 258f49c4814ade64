"""Random programs: pyllb's definitions beside Go's. A seed that fails is in the test's message."""

from __future__ import annotations

import random
import secrets

from tests.oracle import Program, ask
from tests.oracle.draw import drawn
from tests.oracle.dsl import marshal
from tests.oracle.test_cases import assert_equal

FIXED = 1


def compare(seeds: list[int]) -> None:
    programs: list[Program] = [drawn(seed) for seed in seeds]
    for seed, made, answer in zip(seeds, programs, ask(programs), strict=True):
        try:
            assert_equal(marshal(made).definition, answer)
        except Exception as error:
            raise AssertionError(f"the program of seed {seed} differs") from error


def test_a_thousand_random_programs_of_a_fixed_seed_equal_those_of_go() -> None:
    compare([random.Random(FIXED).getrandbits(60) + i for i in range(1000)])


def test_random_programs_of_a_new_seed_equal_those_of_go() -> None:
    compare([secrets.randbits(60) for _ in range(200)])
