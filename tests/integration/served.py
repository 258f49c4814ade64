"""Served: files and git repositories on a loopback port, for a daemon that fetches them."""

from __future__ import annotations

import http.server
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import attrs


@attrs.define
class Site:
    """What a server has, and what it was asked for.

    url: "http://127.0.0.1:PORT". files: path to content. headers: of every answer. password: the whole Authorization
    header without which nothing is given, its first word in any case; "" is none. repositories: the directory of bare
    git repositories, below /git/. asked: method, path and headers of each request, header names in lower case.
    """

    url: str = ""
    files: dict[str, bytes] = attrs.field(factory=dict)
    headers: dict[str, str] = attrs.field(factory=dict)
    password: str = ""
    repositories: Path | None = None
    asked: list[tuple[str, str, Mapping[str, str]]] = attrs.field(factory=list)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = False
    site: Site


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        site, path = self.server.site, urlsplit(self.path).path
        site.asked.append((self.command, path, {name.lower(): value for name, value in self.headers.items()}))
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        if site.password and f"{scheme.capitalize()} {given}" != site.password:
            self._answer(401, b"", {"WWW-Authenticate": 'Basic realm="test"'})
        elif site.repositories and path.startswith("/git/"):
            self._git(site.repositories)
        elif path in site.files:
            self._answer(200, site.files[path], site.headers)
        else:
            self._answer(404, b"", {})

    do_HEAD = do_POST = do_GET

    def _answer(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _git(self, repositories: Path) -> None:
        """Answer as git's own CGI program does (git-http-backend, RFC 3875)."""
        asked = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(repositories),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": asked.path.removeprefix("/git"),
            "QUERY_STRING": asked.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        made = subprocess.run(["git", "http-backend"], input=body, stdout=subprocess.PIPE, check=True, env=environment)
        head, _, content = made.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self._answer(int(headers.pop("Status", "200").split()[0]), content, headers)

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def served() -> Iterator[Site]:
    """A server for as long as the block runs."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.site = Site(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="test-served")
        thread.start()
        try:
            yield server.site
        finally:
            server.shutdown()
            thread.join()
