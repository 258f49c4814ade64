"""The testbed: a real buildkitd, real registries and real images, for tests, benchmarks and the quickstart.

    from tests.testbed import up
    with up() as testbed:
        subprocess.run([testbed.buildctl, "--addr", testbed.address, "debug", "workers"])

For people: `python -m tests.testbed up`, `env`, `down`. It needs root, Debian, Go and Python; the rest it installs or
makes once and keeps in one directory, ~/.cache/pyllb-testbed or PYLLB_TESTBED.
"""

from tests.testbed.instance import ExtraDaemon, Testbed, prepare, up

__all__ = ["ExtraDaemon", "Testbed", "prepare", "up"]
