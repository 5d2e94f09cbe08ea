"""Setting up a proxy that asks: with https as the page says, and what tells of one that is not trusted."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.gateway import POLICY, Client, OpenScene
from support.peers import asking, trusting
from support.tls import self_signed

TRUSTING = {"forward_auth": True, "trusted_proxies": ("127.0.0.1/32",)}


async def test_with_https_people_sign_in_and_arrive(
    open_scene: OpenScene, name: str, short_path: Path
) -> None:
    pem = short_path / "localhost.pem"
    pem.write_bytes(self_signed("localhost"))
    async with open_scene(**TRUSTING, public_scheme="https") as scene:
        await scene.signed_in()
        app = int(scene.upstream.address.rpartition(":")[2])
        async with asking(name, short_path, gateway=scene.gateway.port, app=app, pem=pem) as port:
            person, nobody = (Client(port, scene.clock, "localhost") for _ in range(2))
            person.tls = nobody.tls = trusting(pem)
            led = await person.visit("GET /mine?a=b")
            (page,) = led.header(b"location")
            assert (led.status, page.removeprefix(b"https://localhost")[:20]) == (
                303,
                b"/.watchword/sign-in?",
            )
            form = {"subject": "ada", "password": "correct horse battery staple", "return_to": "/mine?a=b"}
            back = await person.visit("POST /.watchword/sign-in", form)
            assert (back.status, back.header(b"location")) == (303, [b"/mine?a=b"])
            assert all(b"; Secure" in cookie for cookie in back.header(b"set-cookie"))
            person.cookies["theme"] = "dark"
            answer = await person.visit("GET /mine?a=b", headers={"Remote-User": "root"})
            assert (answer.status, answer.body) == (200, b"GET /mine?a=b")
            assert (await nobody.call("GET /mine")).status == 401
            assert (await person.call("GET /.watchword/forward-auth")).status in {400, 404}
    (received,) = scene.app.requests
    assert received.header("remote-user") == ["ada"]
    assert received.header("cookie") == ["theme=dark"], "the session is not the app's to see"


STATUS = {"nginx": 503, "caddy": 404, "traefik": 421, "envoy": 404}


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({"forward_auth": True, "trusted_proxies": ("192.0.2.0/24",)}, "trusted-proxies"),
        ({"trusted_proxies": ("127.0.0.1/32",)}, "forward-auth"),
    ],
)
async def test_a_proxy_that_may_not_ask_is_named_in_the_log(
    open_scene: OpenScene, name: str, short_path: Path, settings: dict[str, object], setting: str
) -> None:
    policy = POLICY.replace("[localhost, 127.0.0.1]", "[localhost]")
    async with open_scene(policy=policy, **settings) as scene:
        app = int(scene.upstream.address.rpartition(":")[2])
        async with asking(name, short_path, gateway=scene.gateway.port, app=app) as port:
            client = scene.client()
            client.port = port
            with capture_logs() as said:
                statuses = [(await client.visit("GET /public/x")).status for _ in range(3)]
    assert statuses == [STATUS[name]] * 3
    (warning,) = (entry for entry in said if entry["log_level"] == "warning")
    assert (warning["address"], warning["setting"]) == ("127.0.0.1", setting)
    assert scene.app.requests == []
