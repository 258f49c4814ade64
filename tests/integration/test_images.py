"""Images: pushed to a registry that wants a login, and built upon."""

from __future__ import annotations

import base64
import json
import urllib.request
from pathlib import Path

import pytest

from pyllb import Client, fs, image
from pyllb.errors import SolveError
from tests.testbed import Testbed

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def registry(testbed: Testbed) -> str:
    """localhost:PORT of the registry with a login."""
    return f"localhost:{testbed.auth_registry.rpartition(':')[2]}"


def config_json(registry: str, user: str, password: str) -> str:
    """A docker configuration with one login."""
    return json.dumps({"auths": {registry: {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}}})


@pytest.fixture
def logged_in(testbed: Testbed, registry: str, tmp_path: Path) -> Client:
    """A client that has the login; it is not connected yet."""
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "config.json").write_text(config_json(registry, testbed.auth_user, testbed.auth_password))
    return Client(testbed.address, docker_config=tmp_path / "docker")


def fetch(testbed: Testbed, path: str) -> dict[str, object]:
    """A JSON document of the registry, asked for by ourselves."""
    login = base64.b64encode(f"{testbed.auth_user}:{testbed.auth_password}".encode()).decode()
    accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
    request = urllib.request.Request(
        f"http://{testbed.auth_registry}/v2/{path}", headers={"Authorization": f"Basic {login}", "Accept": accept}
    )
    with urllib.request.urlopen(request) as response:
        found = json.load(response)
    assert isinstance(found, dict)
    return found


def test_a_pushed_image_has_its_config_and_the_next_build_inherits_it(
    testbed: Testbed, registry: str, logged_in: Client, nonce: str, tmp_path: Path
) -> None:
    name = f"{registry}/app-{nonce}:1"
    app = (
        fs()
        .image("busybox")
        .mkfile("/etc/passwd", "app:x:1234:1234::/home/app:/bin/sh\n")
        .mkdir("/home/app", parents=True, owner="1234:1234")
        .mkdir("/opt")
        .mkfile("/opt/tool", "#!/bin/sh\necho from the tool\n", mode=0o755)
        .env(PATH="/opt:/bin:/usr/bin")
        .dir("/home/app")
        .user("app")
        .entrypoint("/opt/tool", "--serve")
        .expose(8080)
    )
    with logged_in as client:
        result = client.solve(app, output=f"type=image,name={name},push=true")
        manifest = fetch(testbed, f"app-{nonce}/manifests/1")
        pushed = manifest["config"]
        assert isinstance(pushed, dict)
        config = fetch(testbed, f"app-{nonce}/blobs/{pushed['digest']}")["config"]
        assert isinstance(config, dict)
        assert result.digest is not None
        assert config["Entrypoint"] == ["/opt/tool", "--serve"]
        assert config["WorkingDir"] == "/home/app"
        assert config["User"] == "app"
        assert config["ExposedPorts"] == {"8080/tcp": {}}
        assert "PATH=/opt:/bin:/usr/bin" in config["Env"]

        above = image(name).run(f"echo {nonce} > seen; id -u >> seen; pwd >> seen; tool >> seen")
        client.solve(above, output=[f"type=local,dest={tmp_path}/out", f"type=oci,dest={tmp_path}/above.tar"])
        seen = (tmp_path / "out" / "home" / "app" / "seen").read_text()
        assert seen.splitlines() == [nonce, "1234", "/home/app", "from the tool"]
        resolved = json.loads(client.resolve(name).config)
        assert resolved["config"]["Entrypoint"] == ["/opt/tool", "--serve"]


def test_a_push_without_a_login_names_the_image_and_the_reason(
    testbed: Testbed, registry: str, nonce: str, tmp_path: Path
) -> None:
    with Client(testbed.address, docker_config=tmp_path) as client:
        with pytest.raises(SolveError, match=f"{registry}/app-{nonce}:1") as caught:
            client.solve(fs().mkfile("/a", b"a"), output=f"type=image,name={registry}/app-{nonce}:1,push=true")
        assert "401" in str(caught.value) or "authorization" in str(caught.value)
        config = tmp_path / "config.json"
        asked = f"{registry} was asked anonymously: there is no login for it ({config})"
        assert str(caught.value).splitlines()[1:] == [asked]
        with pytest.raises(SolveError, match="was asked anonymously"):
            client.solve(image(f"{registry}/app-{nonce}:1").run("true"))


def test_a_wrong_password_is_not_repeated_in_the_error(
    testbed: Testbed, registry: str, nonce: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(config_json(registry, testbed.auth_user, "wrong-password"))
    with (
        Client(testbed.address, docker_config=tmp_path) as client,
        pytest.raises(SolveError) as caught,
    ):
        client.solve(fs().mkfile("/a", b"a"), output=f"type=registry,name={registry}/app-{nonce}:1")
    assert "wrong-password" not in str(caught.value)
    assert f"was asked as '{testbed.auth_user}', with the login of" in caught.value.message
