"""A configuration: what buildkitd reads from its buildkitd.toml."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import attrs


@attrs.frozen(kw_only=True)
class Config:
    """What a buildkitd of ours is told; the key names are those of BuildKit 0.33.1.

    root: where it keeps everything. addresses: what it listens on, "unix:///path" or "tcp://host:port" (port 0 takes
    a free one). runtime: the OCI runtime it runs steps with, a path or a name. mirrors: registry host to the host that
    is asked first, "docker.io" to "127.0.0.1:5000". plain_http: registry hosts spoken to without TLS; a mirror on the
    loopback interface is taken as one of them. entitlements: what a solve may ask for. debug: log everything.
    gc: whether it trims its own cache. network: "host", "cni", "bridge" or "auto" (CNI when it is configured, else
    the host's), the network of a step that asks for none in particular. rootless: it runs in a user namespace, where
    a step's own process namespace and cgroup cannot be had.
    """

    root: Path
    addresses: tuple[str, ...]
    runtime: str
    mirrors: Mapping[str, str] = attrs.field(factory=dict)
    plain_http: tuple[str, ...] = ()
    entitlements: tuple[str, ...] = ("network.host", "security.insecure")
    debug: bool = False
    gc: bool = True
    network: str = "auto"
    rootless: bool = False

    @property
    def traces(self) -> Path:
        """The socket that steps send OpenTelemetry traces to."""
        return self.root / "otel.sock"

    def toml(self) -> str:
        """The text of buildkitd.toml."""
        lines = [
            f"root = {_quote(str(self.root))}",
            f"insecure-entitlements = {_array(self.entitlements)}",
            "[log]",
            f"  level = {_quote('debug' if self.debug else 'info')}",
            "[grpc]",
            f"  address = {_array(self.addresses)}",
            "[otel]",  # its default is one socket for all daemons of the machine; the last one started takes it
            f"  socketPath = {_quote(str(self.traces))}",
            "[cdi]",  # else it looks at the machine's devices
            "  disabled = true",
            "[worker.oci]",
            "  enabled = true",
            f"  binary = {_quote(self.runtime)}",
            f"  gc = {str(self.gc).lower()}",
            f"  networkMode = {_quote(self.network)}",
            f"  rootless = {str(self.rootless).lower()}",
            f"  noProcessSandbox = {str(self.rootless).lower()}",
            "[worker.containerd]",
            "  enabled = false",
        ]
        for host, mirror in self.mirrors.items():
            lines += [f"[registry.{_quote(host)}]", f"  mirrors = {_array((mirror,))}"]
        for host in self._plain_http():
            lines += [f"[registry.{_quote(host)}]", "  http = true", "  insecure = true"]
        return "\n".join(lines) + "\n"

    def _plain_http(self) -> tuple[str, ...]:
        """Each host once, and none that has a table as a mirrored one already."""
        loopback = [
            mirror for mirror in self.mirrors.values() if mirror.partition(":")[0] in ("127.0.0.1", "localhost")
        ]
        return tuple(host for host in dict.fromkeys([*self.plain_http, *loopback]) if host not in self.mirrors)


def _quote(text: str) -> str:
    # A TOML basic string has JSON's escapes, but no pairs of surrogates, and wants DEL escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _array(values: tuple[str, ...]) -> str:
    return "[" + ", ".join(_quote(value) for value in values) + "]"
