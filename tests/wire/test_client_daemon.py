"""The client against a daemon that plays old, odd and failing ones: what is asked, and what is made of the answers."""

from __future__ import annotations

import base64
import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

import pyllb
from pyllb import Client, fs, merge
from pyllb._pb import any_pb2, control_pb2, gateway_pb2, ops_pb2, status_pb2
from pyllb.errors import (
    ConnectError,
    ExecError,
    GraphError,
    ResolveError,
    SolveCanceled,
    SolveError,
    UnsupportedError,
)
from tests.layouts import add_image, layout_of, tagged, write_index

CONTROL = "/moby.buildkit.v1.Control/"
BRIDGE = "/moby.buildkit.v1.frontend.LLBBridge/"
LLB_CAPS = ("source.image", "exec.meta.base", "exec.mount.bind", "file.base", "constraints", "platform")
CONFIG = b'{"os":"linux","architecture":"amd64","config":{"Env":["PATH=/image/bin"],"WorkingDir":"/image"}}'


class Daemon(grpc.GenericRpcHandler):
    """Speaks Control and the bridge as buildkitd does, as far as a test needs, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Message]] = []
        self.caps: tuple[str, ...] = ("solve.base", "solve.inlinereturn", "resolveimage", "readfile")
        self.llb_caps: tuple[str, ...] = (*LLB_CAPS, "mergeop")
        self.llb_disabled: dict[str, str] = {}
        self.fails: dict[str, tuple[grpc.StatusCode, str, tuple[any_pb2.Any, ...]]] = {}
        self.returned = threading.Event()
        self.result = gateway_pb2.ReturnRequest()
        self.refuses = False

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        method = details.method
        if method == f"{CONTROL}Session" and self.refuses:
            return grpc.stream_stream_rpc_method_handler(self._refuse)
        if method == f"{CONTROL}Session":
            return grpc.stream_stream_rpc_method_handler(lambda requests, context: iter(list(requests)[:0]))
        if method == f"{CONTROL}Status":
            return grpc.unary_stream_rpc_method_handler(
                self._status, control_pb2.StatusRequest.FromString, control_pb2.StatusResponse.SerializeToString
            )
        kinds: dict[str, type[Message]] = {
            f"{CONTROL}Solve": control_pb2.SolveRequest,
            f"{BRIDGE}Ping": gateway_pb2.PingRequest,
            f"{BRIDGE}ResolveImageConfig": gateway_pb2.ResolveImageConfigRequest,
            f"{BRIDGE}ResolveSourceMeta": gateway_pb2.ResolveSourceMetaRequest,
            f"{BRIDGE}Solve": gateway_pb2.SolveRequest,
            f"{BRIDGE}Return": gateway_pb2.ReturnRequest,
        }
        if method not in kinds:
            return None
        name = method.removeprefix("/moby.buildkit.v1.").removeprefix("frontend.")

        def answer(request: Message, context: grpc.ServicerContext) -> Message:
            self.asked.append((name, request))
            if name in self.fails:
                self._fail(context, *self.fails[name])
            reply = getattr(self, name.replace("/", "_").replace(".", "_"))(request, context)
            assert isinstance(reply, Message)
            return reply

        return grpc.unary_unary_rpc_method_handler(
            answer, kinds[method].FromString, lambda message: message.SerializeToString()
        )

    def _fail(
        self, context: grpc.ServicerContext, code: grpc.StatusCode, message: str, details: tuple[any_pb2.Any, ...]
    ) -> None:
        status = status_pb2.Status(code=code.value[0], message=message, details=details)
        if details:
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(code, message)

    def _refuse(self, requests: object, context: grpc.ServicerContext) -> None:
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "sessions are not for you")

    def _status(self, request: control_pb2.StatusRequest, context: grpc.ServicerContext) -> Iterator[Message]:
        self.returned.wait(5)
        yield control_pb2.StatusResponse()

    def Control_Solve(self, request: control_pb2.SolveRequest, context: grpc.ServicerContext) -> Message:
        context.add_callback(self.returned.set)
        self.returned.wait(20)
        if self.result.HasField("error"):
            error = self.result.error
            code = next(code for code in grpc.StatusCode if code.value[0] == error.code)
            self._fail(context, code, error.message, tuple(error.details))
        return control_pb2.SolveResponse(ExporterResponse={"said": "done"})

    def LLBBridge_Ping(self, request: Message, context: object) -> Message:
        if self.refuses:
            self.returned.wait(20)  # as a daemon that waits for a session before it registers the build
        worker = {"platforms": [ops_pb2.Platform(OS="linux", Architecture="arm64")]}
        pong = gateway_pb2.PongResponse(FrontendAPICaps=[{"ID": cap, "Enabled": True} for cap in self.caps])
        pong.Workers.add(**worker)
        for cap in self.llb_caps:
            pong.LLBCaps.add(ID=cap, Enabled=True)
        for cap, why in self.llb_disabled.items():
            pong.LLBCaps.add(ID=cap, Enabled=False, DisabledReasonMsg=why)
        return pong

    def LLBBridge_ResolveImageConfig(self, request: Message, context: object) -> Message:
        return gateway_pb2.ResolveImageConfigResponse(Digest=f"sha256:{'0' * 64}", Config=CONFIG)

    def LLBBridge_ResolveSourceMeta(self, request: Message, context: object) -> Message:
        image = gateway_pb2.ResolveSourceImageResponse(Digest=f"sha256:{'0' * 64}", Config=CONFIG)
        return gateway_pb2.ResolveSourceMetaResponse(Image=image)

    def LLBBridge_Solve(self, request: Message, context: object) -> Message:
        return gateway_pb2.SolveResponse(result=gateway_pb2.Result(ref=gateway_pb2.Ref(id="the-ref")))

    def LLBBridge_Return(self, request: gateway_pb2.ReturnRequest, context: object) -> Message:
        self.result = request
        self.returned.set()
        return gateway_pb2.ReturnResponse()

    def names(self) -> list[str]:
        return [name for name, _ in self.asked]

    def one(self, name: str) -> Message:
        (found,) = [request for asked, request in self.asked if asked == name]
        return found


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest.fixture
def client(daemon: Daemon, tmp_path: Path) -> Iterator[Client]:
    with serving(daemon, tmp_path) as connected:
        yield connected


@contextmanager
def serving(daemon: Daemon, tmp_path: Path, **options: int) -> Iterator[Client]:
    """A client of the daemon. options: of grpc's server, without their prefix."""
    with futures.ThreadPoolExecutor(8) as pool:
        said = {"max_metadata_size": 1 << 20, **options}
        server = grpc.server(pool, options=[(f"grpc.{name}", value) for name, value in said.items()])
        server.add_generic_rpc_handlers((daemon,))
        server.add_insecure_port(f"unix:{tmp_path}/daemon.sock")
        server.start()
        try:
            with Client(f"unix://{tmp_path}/daemon.sock", docker_config=tmp_path) as connected:
                yield connected
        finally:
            daemon.returned.set()
            server.stop(0).wait()


def detail(kind: str, value: object) -> any_pb2.Any:
    """A detail as the daemon sends it: JSON under a name."""
    return any_pb2.Any(type_url=f"github.com/moby/buildkit/{kind}+json", value=json.dumps(value).encode())


def test_a_solve_asks_what_buildctl_asks_in_its_order(daemon: Daemon, client: Client) -> None:
    result = client.solve(fs().image("app").run("true"))
    assert result.metadata == {"said": "done"}
    asked = [name for name in daemon.names() if name != "Control/Solve"]
    assert asked == [
        "LLBBridge/Ping",
        "LLBBridge/ResolveImageConfig",
        "LLBBridge/Solve",
        "LLBBridge/Return",
    ]
    assert daemon.result.result.ref.id == "the-ref"
    config = json.loads(daemon.result.result.metadata["containerimage.config"])
    assert (config["architecture"], config["config"]["WorkingDir"]) == ("amd64", "/image")


def test_a_daemon_with_newer_calls_is_asked_those(daemon: Daemon, client: Client) -> None:
    daemon.caps = (*daemon.caps, "source.metaresolver")
    client.solve(fs().image("app", platform="linux/arm64").run("true"))
    request = daemon.one("LLBBridge/ResolveSourceMeta")
    assert isinstance(request, gateway_pb2.ResolveSourceMetaRequest)
    assert request.Source.identifier == "docker-image://docker.io/library/app:latest"
    assert request.Platform.Architecture == "arm64"


def test_an_image_of_an_oci_layout_is_asked_for_by_its_store(daemon: Daemon, client: Client, tmp_path: Path) -> None:
    layout = layout_of(tmp_path / "layout").path
    entry = add_image(layout, {"a": b"a"})
    write_index(layout, tagged(entry, "1"))
    daemon.llb_caps = (*daemon.llb_caps, "source.ocilayout")
    node, ref = fs().oci_layout("layouts/x:1", store="base").run("true"), f"layouts/x:1@{entry['digest']}"
    client.solve(node, oci_layouts={"base": layout})
    old = daemon.one("LLBBridge/ResolveImageConfig")
    assert isinstance(old, gateway_pb2.ResolveImageConfigRequest)
    assert (old.Ref, old.ResolverType, old.StoreID) == (ref, 1, "base")
    daemon.caps = (*daemon.caps, "source.metaresolver")
    client.solve(node, oci_layouts={"base": layout})
    new = daemon.one("LLBBridge/ResolveSourceMeta")
    assert isinstance(new, gateway_pb2.ResolveSourceMetaRequest)
    assert (new.Source.identifier, dict(new.Source.attrs)) == (f"oci-layout://{ref}", {"oci.store": "base"})


def test_a_daemon_that_does_not_tell_its_capabilities_has_those_of_the_first(daemon: Daemon, client: Client) -> None:
    daemon.llb_caps = ()
    client.solve(fs().image("app").run("true"))
    with pytest.raises(UnsupportedError, match=r"'file\.base'"):
        client.solve(fs().mkfile("/a", b""))


def test_the_platform_is_the_daemons_own_unless_it_is_said(daemon: Daemon, client: Client) -> None:
    client.solve(fs().image("app").run("true"))
    client.solve(fs().image("app").run("true"), platform="linux/s390x")
    requests = [r for n, r in daemon.asked if n == "LLBBridge/ResolveImageConfig"]
    assert [r.Platform.Architecture for r in requests if isinstance(r, gateway_pb2.ResolveImageConfigRequest)] == [
        "arm64",
        "s390x",
    ]


def test_an_image_that_is_asked_for_twice_is_resolved_once(daemon: Daemon, client: Client) -> None:
    client.solve(merge(fs().image("app").run("true"), fs().image("app").run("false")))
    assert daemon.names().count("LLBBridge/ResolveImageConfig") == 1


def test_a_daemon_that_takes_few_calls_at_once_is_asked_for_many_images(daemon: Daemon, tmp_path: Path) -> None:
    images = [fs().image(f"app{number}").run("true") for number in range(40)]
    with serving(daemon, tmp_path, max_concurrent_streams=4) as client:
        client.solve(merge(*images))
    assert daemon.names().count("LLBBridge/ResolveImageConfig") == 40


def test_several_exporters_are_not_asked_of_a_daemon_that_would_take_the_first_alone(
    daemon: Daemon, client: Client, tmp_path: Path
) -> None:
    outputs = [f"type=tar,dest={tmp_path}/x.tar", "type=registry,name=r/app:1"]
    with pytest.raises(UnsupportedError, match="makes one output of a solve, and 2 are asked for"):
        client.solve(fs().mkfile("/a", b""), output=outputs)
    assert "LLBBridge/Solve" not in daemon.names()
    assert os.listdir(tmp_path) == ["daemon.sock"]


def test_the_request_has_exporters_in_the_old_form_too(daemon: Daemon, client: Client, tmp_path: Path) -> None:
    daemon.llb_caps = (*LLB_CAPS, "exporter.multiple")
    client.solve(
        fs().mkfile("/a", b""),
        output=[f"type=tar,dest={tmp_path}/x.tar,source-date-epoch=0", "type=registry,name=r/app:1"],
        cache_to=["inline", "type=registry,ref=r/app:c"],
        cache_from="r/app:c",
        allow="network.host",
    )
    request = daemon.one("Control/Solve")
    assert isinstance(request, control_pb2.SolveRequest)
    assert [(one.Type, dict(one.Attrs)) for one in request.Exporters] == [
        ("tar", {"source-date-epoch": "0"}),
        ("image", {"name": "r/app:1", "push": "true"}),
    ]
    assert request.ExporterDeprecated == "tar"
    assert dict(request.ExporterAttrsDeprecated) == {"source-date-epoch": "0"}
    exports = [(one.Type, dict(one.Attrs)) for one in request.Cache.Exports]
    assert exports == [("inline", {}), ("registry", {"ref": "r/app:c", "mode": "min"})]
    assert [dict(one.Attrs) for one in request.Cache.Imports] == [{"ref": "r/app:c"}]
    assert list(request.Entitlements) == ["network.host"]
    assert not request.HasField("Definition")
    solve = daemon.one("LLBBridge/Solve")
    assert isinstance(solve, gateway_pb2.SolveRequest)
    assert [(one.Type, dict(one.Attrs)) for one in solve.CacheImports] == [("registry", {"ref": "r/app:c"})]


def test_no_cache_marks_every_op(daemon: Daemon, client: Client) -> None:
    client.solve(fs().image("app").run("true").run("false"), no_cache=True)
    solve = daemon.one("LLBBridge/Solve")
    assert isinstance(solve, gateway_pb2.SolveRequest)
    metadata = solve.Definition.metadata
    assert len(metadata) == 4
    assert all(one.ignore_cache for one in metadata.values())


def test_a_capability_that_is_missing_is_told_at_the_users_line_and_nothing_is_built(
    daemon: Daemon, client: Client
) -> None:
    daemon.llb_caps = LLB_CAPS
    with pytest.raises(UnsupportedError, match="lacks the capability 'mergeop'") as caught:
        client.solve(merge(fs().mkfile("/a", b""), fs().mkfile("/b", b"")))
    assert "merge(" in caught.value.sources[0].excerpt(0)
    assert "LLBBridge/Solve" not in daemon.names()


@pytest.mark.parametrize("off", [(), ("mergeop",), ("file.base",), ("file.base", "mergeop")])
def test_a_capability_that_is_disabled_is_told_with_the_reason(
    daemon: Daemon, client: Client, off: tuple[str, ...]
) -> None:
    node = merge(fs().mkfile("/a", b""), fs().mkfile("/b", b""))
    daemon.llb_caps = tuple(cap for cap in (*LLB_CAPS, "mergeop") if cap not in off)
    daemon.llb_disabled = dict.fromkeys(off, "not on this machine")
    if not off:
        client.solve(node)
        return
    with pytest.raises(UnsupportedError) as caught:
        client.solve(node)
    told = [f"has disabled the capability {cap!r}, which is needed here: not on this machine" for cap in off]
    assert any(caught.value.message.endswith(text) for text in told)
    assert "LLBBridge/Solve" not in daemon.names()


def test_a_daemon_that_has_disabled_all_is_not_taken_for_one_that_does_not_tell(daemon: Daemon, client: Client) -> None:
    daemon.llb_caps, daemon.llb_disabled = (), dict.fromkeys(LLB_CAPS, "")
    with pytest.raises(UnsupportedError, match=r"has disabled the capability .*: it does not say why"):
        client.solve(fs().image("app").run("true"))


def test_a_capability_that_a_definition_says_it_can_do_without_counts_too(daemon: Daemon, client: Client) -> None:
    """The daemon refuses names that it does not know, whatever is said of them."""
    message = ops_pb2.Definition.FromString(pyllb.dump(fs().mkdir("/a")).to_bytes())
    for metadata in message.metadata.values():
        metadata.caps["later"] = False
    node = pyllb.definition(pyllb.Definition.from_bytes(message.SerializeToString()))
    with pytest.raises(UnsupportedError, match="lacks the capability 'later'"):
        client.solve(node)
    assert [name for name, _ in daemon.asked if name == "LLBBridge/Solve"] == []


def test_a_definition_that_is_too_large_is_told_at_the_users_line_and_not_sent(daemon: Daemon, client: Client) -> None:
    node = fs().mkfile("/small", b"")
    node = node.mkfile("/large", b"x" * (17 << 20), name="the large one")
    with pytest.raises(GraphError, match=r"17,8\d\d,\d\d\d bytes and the daemon takes .*: 'the large one'") as caught:
        client.solve(node)
    assert 'name="the large one"' in caught.value.sources[0].excerpt(0)
    assert [name for name, _ in daemon.asked if name == "LLBBridge/Solve"] == []


def test_a_failed_command_is_read_from_the_details(daemon: Daemon, client: Client) -> None:
    node = fs().image("app").run(["make", "all of it"])
    digest = client.dump(node).ops[-2][0]
    daemon.returned.clear()
    daemon.asked.clear()
    daemon.fails["LLBBridge/Solve"] = (
        grpc.StatusCode.UNKNOWN,
        "process did not complete",
        (
            detail("errdefs.Vertex", {"digest": digest}),
            detail("errdefs.Solve", {"op": {"exec": {}}}),
            detail("stack.Stack", {"frames": [{"Name": "x" * 100_000}]}),  # more than grpc's own limit for metadata
            detail("gatewayapi.ExitMessage", {"Code": 137}),
        ),
    )
    with pytest.raises(ExecError, match=r"make 'all of it'.* ended with exit code 137") as caught:
        client.solve(node)
    assert caught.value.process_exit_code == 137
    assert caught.value.command == "make 'all of it'"
    assert caught.value.digest == digest
    assert '["make", "all of it"]' in caught.value.sources[0].excerpt(0)
    # The build was ended with the same error, so that the daemon's history has it.
    assert daemon.result.error.message == "process did not complete"
    kinds = [one.type_url.rpartition("/")[2] for one in daemon.result.error.details]
    assert kinds == ["gatewayapi.ExitMessage+json", "stack.Stack+json", "errdefs.Solve+json", "errdefs.Vertex+json"]


def test_the_daemons_own_place_is_shown_when_the_vertex_is_not_ours(daemon: Daemon, client: Client) -> None:
    place = {
        "info": {"filename": "Dockerfile", "data": base64.b64encode(b"FROM x\nRUN y\n").decode()},
        "ranges": [{"start": {"line": 2}, "end": {"line": 2}}],
    }
    daemon.fails["LLBBridge/Solve"] = (grpc.StatusCode.NOT_FOUND, "gone", (detail("errdefs.Source", place),))
    with pytest.raises(SolveError, match="gone") as caught:
        client.solve(fs().mkfile("/a", b""))
    (line,) = caught.value.sources
    assert (line.filename, line.line) == ("Dockerfile", 2)
    assert "RUN y" in line.excerpt()
    assert caught.value.code == "NOT_FOUND"


@pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, (), ConnectError),
        (grpc.StatusCode.UNAVAILABLE, (detail("stack.Stack", {}),), SolveError),
        (grpc.StatusCode.CANCELLED, (detail("stack.Stack", {}),), SolveCanceled),
        (grpc.StatusCode.UNIMPLEMENTED, (), UnsupportedError),
        (grpc.StatusCode.UNKNOWN, (any_pb2.Any(type_url="x/errdefs.Vertex+json", value=b"not JSON"),), SolveError),
        (grpc.StatusCode.UNKNOWN, (detail("errdefs.Source", {"info": 1, "ranges": "x"}),), SolveError),
    ],
)
def test_a_status_becomes_the_error_it_means(
    daemon: Daemon, client: Client, code: grpc.StatusCode, details: tuple[any_pb2.Any, ...], kind: type[SolveError]
) -> None:
    daemon.fails["LLBBridge/Solve"] = (code, "what the daemon said", details)
    with pytest.raises(kind, match="what the daemon said") as caught:
        client.solve(fs().mkfile("/a", b""))
    assert type(caught.value) is kind


def test_an_image_that_is_not_there_is_told_at_its_own_line(daemon: Daemon, client: Client) -> None:
    daemon.fails["LLBBridge/ResolveImageConfig"] = (
        grpc.StatusCode.NOT_FOUND,
        "not there",
        (detail("stack.Stack", {}),),
    )
    with pytest.raises(ResolveError, match=r"docker.io/library/app:latest.*not there") as caught:
        client.solve(fs().image("app").run("true"))
    assert caught.value.code == "NOT_FOUND"
    assert 'image("app")' in caught.value.sources[0].excerpt(0)


def test_a_build_that_fails_at_once_is_not_waited_for(daemon: Daemon, client: Client) -> None:
    daemon.fails["Control/Solve"] = (grpc.StatusCode.UNKNOWN, 'exporter "x" could not be found', ())
    begin = time.monotonic()
    with pytest.raises(SolveError, match="exporter"):
        client.solve(fs().mkfile("/a", b""))
    assert time.monotonic() - begin < 3


def test_a_daemon_that_refuses_the_session_is_told_with_its_reason(daemon: Daemon, client: Client) -> None:
    daemon.refuses = True
    begin = time.monotonic()
    with pytest.raises(ConnectError, match=r"the session with the daemon at .* was lost: .*sessions are not for you"):
        client.solve(fs().mkfile("/a", b""))
    assert time.monotonic() - begin < 5


def test_a_build_that_this_side_ends_has_its_error_in_the_daemons_history(daemon: Daemon, client: Client) -> None:
    daemon.llb_caps = LLB_CAPS
    with pytest.raises(UnsupportedError):
        client.solve(merge(fs().mkfile("/a", b""), fs().mkfile("/b", b"")))
    assert "lacks the capability 'mergeop'" in daemon.result.error.message


def test_a_daemon_that_reads_no_directories_is_told(daemon: Daemon, client: Client) -> None:
    with pytest.raises(UnsupportedError, match="lacks ReadDir, which is needed here; a newer one has it"):
        client.read_dir(fs().image("app"), "/")


def test_a_dump_builds_nothing(daemon: Daemon, client: Client) -> None:
    definition = client.dump(fs().image("app").run("true"))
    assert any(b"PATH=/image/bin" in op for _, op in definition.ops)
    assert "LLBBridge/Solve" not in daemon.names()
    request = daemon.one("Control/Solve")
    assert isinstance(request, control_pb2.SolveRequest)
    assert request.Internal
    assert pyllb.dump(fs().image("app").run("true")).to_bytes() != definition.to_bytes()
