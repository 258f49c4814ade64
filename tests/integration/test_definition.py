"""A definition made by the daemon's Dockerfile frontend: read, written back, told and sent."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

import pyllb
from pyllb._pb import gateway_pb2, ops_pb2
from pyllb.client import parse_address
from pyllb.client.built import nothing
from pyllb.client.connection import Connection
from pyllb.client.job import Job
from pyllb.client.options import Options
from pyllb.client.task import Cancellation
from pyllb.errors import ExecError, UsageError
from pyllb.marshal.definition import Definition
from tests.conftest import Buildctl

DOCKERFILE = """\
FROM scratch AS files
COPY --chown=1:2 --exclude=*.md . /src
ADD --link https://example.com/a.tar.gz /a.tar.gz

FROM scratch
ENV A=1
WORKDIR /work
COPY <<EOT /hello
hello
EOT
RUN --mount=type=cache,target=/c,sharing=locked --mount=type=secret,id=token --network=none make {target}
COPY --from=files /src /dst
"""


def of_dockerfile(address: str, text: str) -> Definition:
    """What the frontend makes of a Dockerfile; nothing of it is built."""
    context = ops_pb2.Definition.FromString(pyllb.dump(pyllb.fs().mkfile("/Dockerfile", text)).to_bytes())
    request = gateway_pb2.SolveRequest(
        Frontend="dockerfile.v0",
        FrontendOpt={"platform": "linux/amd64"},
        FrontendInputs={"context": context, "dockerfile": context},
        allowResultReturn=True,
        allowResultArrayRef=True,
    )
    with closing(Connection(parse_address(address))) as connection:
        job = Job(connection, Options(), Cancellation(), internal=True)
        with job:
            job.bridge.ping()
            answer = job.bridge._call("Solve", request, gateway_pb2.SolveResponse)
            job.finish(nothing())
    definition: ops_pb2.Definition = getattr(answer.result.ref, "def")
    return Definition.from_bytes(definition.SerializeToString())


@pytest.fixture(scope="module")
def definition(address: str) -> Definition:
    return of_dockerfile(address, DOCKERFILE.format(target="all"))


def test_a_dockerfiles_definition_is_read_and_written_back_as_it_is(definition: Definition) -> None:
    assert len(definition.vertices) > 6
    assert {vertex.kind for vertex in definition.vertices} >= {"source", "exec", "file", "return"}
    data = definition.to_bytes()
    assert Definition.from_bytes(data) == definition
    assert Definition.from_bytes(data).to_bytes() == data
    written = ops_pb2.Definition.FromString(data).SerializeToString(deterministic=True)
    assert Definition.from_bytes(written) == definition
    definition.check()


def test_a_dockerfiles_definition_is_told_as_buildctl_tells_it(definition: Definition, buildctl: Buildctl) -> None:
    data = definition.to_bytes()
    assert definition.to_json() == buildctl("debug", "dump-llb", input=data).stdout.decode()
    assert definition.to_dot() == buildctl("debug", "dump-llb", "--dot", input=data).stdout.decode()


def test_the_lines_of_a_dockerfile_are_in_its_definition(definition: Definition) -> None:
    (run,) = (vertex for vertex in definition.vertices if vertex.kind == "exec")
    (line, *_) = definition.source_lines(run.digest)
    assert line.filename == "Dockerfile"
    assert line.text.splitlines()[line.line - 1].startswith("RUN ")
    assert "at Dockerfile:" in definition.to_tree()


def test_the_difference_of_two_dockerfiles_is_told(definition: Definition, address: str) -> None:
    other = of_dockerfile(address, DOCKERFILE.format(target="one"))
    run, dockerfile = sorted(definition.diff(other).changes, key=lambda change: change.vertex.kind)
    assert {field.path[0] for field in run.fields} == {"command", "name", "description"}
    assert run.place == "Dockerfile:11"
    assert "- RUN --mount" in dockerfile.to_text()  # the frontend was given it as a file of ours


BUILT = """\
FROM busybox AS made
WORKDIR /w
COPY <<EOT word
{word}
EOT
RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t --network=none \\
    sed s/^/made:/ word >out && {command}

FROM busybox
COPY --link --from=made /w/out /one/out
COPY --link --chmod=600 Dockerfile /one/
"""


def test_what_dockerfiles_make_is_solved_and_built_upon(
    client: pyllb.Client, address: str, nonce: str, tmp_path: Path
) -> None:
    one, other = (
        pyllb.definition(of_dockerfile(address, BUILT.format(word=f"{nonce}{number}", command="true")))
        for number in (1, 2)
    )
    client.solve(one, output=f"type=local,dest={tmp_path}/as-it-is")
    assert (tmp_path / "as-it-is/one/out").read_text() == f"made:{nonce}1\n"
    look = "cp -r /one here; cat /two/one/out >>here/out; stat -c %a here/Dockerfile >here/mode"
    seen = one.run(look, dir="/seen", mounts=[pyllb.bind(pyllb.fs(), "/seen"), pyllb.bind(other, "/two")])
    changed = pyllb.diff(one, one.mkdir("/changed"))
    copied = pyllb.fs().copy(other, "/one/out", "/copied")
    client.solve(pyllb.merge(seen.mount("/seen"), changed, copied), output=f"type=local,dest={tmp_path}/out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["changed", "copied", "here"]
    assert (tmp_path / "out/here/out").read_text() == f"made:{nonce}1\nmade:{nonce}2\n"
    assert (tmp_path / "out/here/mode").read_text() == "600\n"
    assert (tmp_path / "out/copied").read_text() == f"made:{nonce}2\n"


def test_a_failure_in_what_a_dockerfile_makes_has_its_line(client: pyllb.Client, address: str, nonce: str) -> None:
    read = of_dockerfile(address, BUILT.format(word=nonce, command="exit 7"))
    with pytest.raises(ExecError) as caught:
        client.solve(pyllb.definition(read).mkdir("/more"))
    assert caught.value.process_exit_code == 7
    assert [(line.filename, line.line) for line in caught.value.sources[:1]] == [("Dockerfile", 6)]


def test_what_a_dockerfile_needs_is_told_before_its_first_step_at_its_line(address: str) -> None:
    text = "FROM busybox\nRUN --mount=type=secret,id=token,required --network=host echo\n"
    node = pyllb.definition(of_dockerfile(address, text))
    with pytest.raises(UsageError, match="secret 'token' is used here but was not given") as caught:
        pyllb.solve(node, addr="unix:///nowhere")  # so early that no daemon is needed
    assert caught.value.sources[0].excerpt(0).endswith("RUN --mount=type=secret,id=token,required --network=host echo")
    with pytest.raises(UsageError, match=r"needs the entitlement 'network.host'"):
        pyllb.solve(node, addr="unix:///nowhere", secrets={"token": b"x"})
