"""The addresses where other parties end sessions, on a real gateway."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from structlog.testing import capture_logs
from support.gateway import Client, OpenScene, Scene
from support.own_process import own_processes
from support.raw_client import Answer
from support.store import NOW
from support.tokens import (
    AUDIENCE,
    ISSUER,
    event_claims,
    event_token,
    jwk,
    key_set,
    keys_in,
    logout_claims,
    logout_token,
    signed,
)
from support.webhooks import receiving

from gateway.errors import StoreUnavailable
from gateway.identity.transmitters import LONGEST_TOKEN
from gateway.portal.backchannel import EVENTS_PATH, KEYS_PATH, LOGOUT_PATH, REFUSALS

FORM = "application/x-www-form-urlencoded"
SET = "application/secevent+jwt"


def settings_of(folder: Path, **other: Any) -> dict[str, Any]:
    transmitter = {"issuer": ISSUER, "audience": AUDIENCE, "keys": keys_in(folder), **other}
    return {"transmitters": [transmitter]}


@pytest.fixture
async def scene(open_scene: OpenScene, tmp_path: Path) -> AsyncIterator[Scene]:
    """A gateway that trusts one party."""
    async with open_scene(back_channel=settings_of(tmp_path)) as opened:
        yield opened


async def log_out(scene: Scene, token: str, **headers: str) -> Answer:
    return await posted(scene, LOGOUT_PATH, urlencode({"logout_token": token}), FORM, **headers)


async def push(scene: Scene, token: str, **headers: str) -> Answer:
    return await posted(scene, EVENTS_PATH, token, SET, **headers)


async def posted(scene: Scene, path: str, body: str | bytes, content_type: str, **headers: str) -> Answer:
    """What somebody without any cookie is told."""
    octets = body.encode() if isinstance(body, str) else body
    return await scene.client().send(f"POST {path}", {"Content-Type": content_type, **headers}, octets)


async def is_in(client: Client) -> bool:
    return (await client.call("GET /.watchword/api/me")).status == 200


async def test_a_logout(scene: Scene) -> None:
    client = await scene.signed_in()
    answer = await log_out(scene, logout_token())
    assert (answer.status, answer.body, answer.header(b"cache-control")) == (200, b"", [b"no-store"])
    assert not await is_in(client)
    counts = (await Client(scene.gateway.admin_port, scene.clock, "localhost").call("GET /metrics")).body
    assert b'watchword_events_total{outcome="revoked"} 1.0' in counts
    assert b'watchword_revocations_total{scope="account"} 1.0' in counts


async def test_an_event(scene: Scene) -> None:
    client = await scene.signed_in()
    answer = await push(scene, event_token())
    assert (answer.status, answer.body, answer.header(b"cache-control")) == (202, b"", [b"no-store"])
    assert not await is_in(client)


async def test_the_same_again_does_nothing_and_is_fine(scene: Scene) -> None:
    token = logout_token()
    await log_out(scene, token)
    client = await scene.signed_in()
    assert (await log_out(scene, token)).status == 200
    event = event_token()
    await push(scene, event)
    client = await scene.signed_in()
    assert (await push(scene, event)).status == 202
    assert await is_in(client)


async def test_nobody_learns_who_has_an_account(scene: Scene) -> None:
    await scene.signed_in()
    bob = {"format": "opaque", "id": "bob"}
    for known, unknown in (
        (await log_out(scene, logout_token()), await log_out(scene, logout_token(jti="2", sub="bob"))),
        (await push(scene, event_token()), await push(scene, event_token(jti="2", sub_id=bob))),
    ):
        assert [pair for pair in known.headers if pair[0].lower() != b"date"] == [
            pair for pair in unknown.headers if pair[0].lower() != b"date"
        ]
        assert (known.status, known.body) == (unknown.status, unknown.body)


@pytest.mark.parametrize(
    ("token", "error"),
    [
        (signed(event_claims(), "JWT"), "invalid_request"),
        (logout_token(), "invalid_request"),
        (event_token(iss="https://nobody.example"), "invalid_issuer"),
        (event_token(aud="somebody"), "invalid_audience"),
        (signed(event_claims(), SET, kid="unknown"), "invalid_key"),
        (signed(event_claims(), SET, key=ec.derive_private_key(9, ec.SECP256R1())), "authentication_failed"),
        (event_token(iat=int(NOW) - 10 * 86_400), "invalid_request"),
        (event_token(iat=int(NOW) + 3600), "invalid_request"),
        (event_token(events={}), "invalid_request"),
        ("", "invalid_request"),
    ],
)
async def test_why_an_event_is_refused(scene: Scene, token: str, error: str) -> None:
    client = await scene.signed_in()
    answer = await push(scene, token)
    assert answer.status == 400, answer
    assert answer.header(b"content-type") == [b"application/json"]
    assert answer.header(b"content-language") == [b"en"]
    assert answer.json["err"] == error
    assert answer.json["description"]
    assert await is_in(client)


@pytest.mark.parametrize(
    "token",
    [
        event_token(),
        logout_token(nonce="n"),
        logout_token(exp=int(NOW) - 600),
        logout_token(iat=int(NOW) - 600),
        signed(logout_claims(), "JWT"),
    ],
)
async def test_a_logout_that_is_refused(scene: Scene, token: str) -> None:
    client = await scene.signed_in()
    answer = await log_out(scene, token)
    assert (answer.status, answer.json["error"]) == (400, "invalid_request")
    assert answer.header(b"cache-control") == [b"no-store"]
    assert await is_in(client)


@pytest.mark.parametrize(
    ("path", "body", "content_type"),
    [
        (EVENTS_PATH, event_token(), "application/jwt"),
        (EVENTS_PATH, event_token(), FORM),
        (EVENTS_PATH, event_token(), ""),
        (EVENTS_PATH, event_token() + "\n", SET),
        (EVENTS_PATH, b"\xff\xfe", SET),
        (EVENTS_PATH, "x" * (LONGEST_TOKEN + 1), SET),
        (LOGOUT_PATH, urlencode({"logout_token": logout_token()}), "application/json"),
        (LOGOUT_PATH, urlencode({"logout_token": logout_token()}), "text/plain"),
        (LOGOUT_PATH, urlencode({"token": logout_token()}), FORM),
        (LOGOUT_PATH, urlencode([("logout_token", logout_token())] * 2), FORM),
        (LOGOUT_PATH, "a=b&" * 21 + urlencode({"logout_token": logout_token()}), FORM),
        (LOGOUT_PATH, "logout_token=" + "x" * 10**6, FORM),
        (LOGOUT_PATH, b"logout_token=\xff", FORM),
        (LOGOUT_PATH, b"", FORM),
    ],
)
async def test_what_is_not_even_read(scene: Scene, path: str, body: str | bytes, content_type: str) -> None:
    client = await scene.signed_in()
    answer = await posted(scene, path, body, content_type)
    assert answer.status == 400, answer
    assert (answer.json.get("err") or answer.json.get("error")) == "invalid_request"
    assert await is_in(client)


async def test_how_a_content_type_may_be_written(scene: Scene) -> None:
    token = event_token()
    assert (await posted(scene, EVENTS_PATH, token, "Application/SecEvent+JWT; charset=utf-8")).status == 202
    form = urlencode({"logout_token": logout_token(), "other": "field"})
    assert (await posted(scene, LOGOUT_PATH, form, f"{FORM};charset=UTF-8")).status == 200


async def test_a_page_of_another_site_is_no_party(scene: Scene) -> None:
    """A browser says where it comes from; whoever pushes events is none."""
    for answer in (
        await push(scene, event_token(), Origin="https://evil.example"),
        await log_out(scene, logout_token(), **{"Sec-Fetch-Site": "cross-site"}),
    ):
        assert answer.status == 403


async def test_cookies_make_no_difference(scene: Scene) -> None:
    client = await scene.signed_in()
    answer = await client.send(f"POST {EVENTS_PATH}", {"Content-Type": SET}, b"no token")
    assert answer.status == 400
    assert answer.header(b"set-cookie") == []
    assert await is_in(client)


async def test_guessing_is_slowed_down_and_hinders_nobody_else(scene: Scene) -> None:
    for _ in range(REFUSALS.most):
        assert (await push(scene, "x")).status == 400
    answer = await log_out(scene, "x")
    assert (answer.status, answer.body) == (429, b"")
    assert int(answer.header(b"retry-after")[0]) > 0
    assert (await push(scene, event_token())).status == 202, "a token that counts is always taken"


async def test_a_store_that_is_away_is_no_answer(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene.gateway.store.received_events, "claim", _unavailable)
    for answer in (await push(scene, event_token()), await log_out(scene, logout_token())):
        assert answer.status == 503
        assert answer.header(b"retry-after")


async def _unavailable(*_: object, **__: object) -> None:
    raise StoreUnavailable("away")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
async def test_nothing_that_is_sent_breaks_it(scene: Scene, data: st.DataObject) -> None:
    known = st.sampled_from([event_token().encode(), b"logout_token=a.b.c", b"logout_token=%ff"])
    body = data.draw(st.binary(max_size=200) | known)
    path = data.draw(st.sampled_from([EVENTS_PATH, LOGOUT_PATH]))
    content_type = data.draw(st.sampled_from([FORM, SET, "application/json"]))
    assert (await posted(scene, path, body, content_type)).status in {200, 202, 400, 429}


@pytest.mark.parametrize("path", [LOGOUT_PATH, EVENTS_PATH])
async def test_without_a_use_nothing_is_there(open_scene: OpenScene, path: str) -> None:
    async with open_scene() as scene:
        for method in ("GET", "POST"):
            assert (await scene.client().call(f"{method} {path}")).status == 404


async def test_an_account_may_be_known_by_an_address(open_scene: OpenScene, tmp_path: Path) -> None:
    async with open_scene(back_channel=settings_of(tmp_path, subject="email")) as scene:
        client = await scene.signed_in("ada@example.org")
        email = {"format": "email", "email": "ada@example.org"}
        assert (await push(scene, event_token(sub_id=email))).status == 202
        assert not await is_in(client)


async def test_keys_that_cannot_be_had_are_asked_for_later(
    open_scene: OpenScene, unused_tcp_port: int
) -> None:
    away = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": f"http://127.0.0.1:{unused_tcp_port}/"}
    async with open_scene(back_channel={"transmitters": [away]}) as scene:
        answer = await push(scene, event_token())
        assert (answer.status, answer.header(b"retry-after")) == (503, [b"2"])


async def test_a_key_that_may_be_new_is_no_refusal_and_made_up_ones_do_not_fill_the_log(
    open_scene: OpenScene,
) -> None:
    async def publish(_: web.Request) -> web.Response:
        return web.Response(text=key_set(jwk("ES256")))

    async with receiving(respond=publish) as issuer:
        party = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": issuer.url}
        async with open_scene(back_channel={"transmitters": [party]}) as scene:
            unknown = signed(event_claims(), SET, kid="unknown")
            assert (await push(scene, unknown)).json["err"] == "invalid_key"
            with capture_logs() as logs:
                for _ in range(REFUSALS.most + 5):
                    answer = await push(scene, unknown)
                    assert (answer.status, answer.header(b"retry-after")) == (503, [b"2"])
            told = [entry for entry in logs if entry["event"].startswith("a token cannot be checked")]
            assert len(told) == REFUSALS.most - 1
            assert (await push(scene, event_token())).status == 202
            assert len(issuer.calls) == 1


async def test_our_own_keys(open_scene: OpenScene) -> None:
    """They are there without receivers too: assertions are signed with them."""
    async with open_scene() as scene:
        answer = await scene.client().call(f"GET {KEYS_PATH}")
        assert answer.status == 200
        assert answer.header(b"cache-control") == [b"public, max-age=3600"]
        (key,) = jwt.PyJWKSet.from_dict(answer.json).keys
        token = jwt.encode({}, scene.gateway.ring.event_key(), algorithm="ES256")
        assert jwt.decode(token, key.key, algorithms=["ES256"]) == {}
        assert (await scene.client().call(f"POST {EVENTS_PATH}")).status == 404


SETTINGS = """
back-channel:
  transmitters:
    - {{issuer: "{issuer}", audience: {audience}, keys: "{keys}"}}
"""


async def test_of_gateways_that_are_told_at_once_one_ends_it(
    valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    """The same token, at four processes, several times each."""
    settings = SETTINGS.format(issuer=ISSUER, audience=AUDIENCE, keys=keys_in(tmp_path))
    async with own_processes(tmp_path, "http://127.0.0.1:1", valkey_url, settings=settings) as gateways:
        client = gateways[0].client()
        await client.sign_in("ada")
        token = event_token(iat=int(time.time())).encode()
        one = f"POST {EVENTS_PATH}"
        calls = [each.client().send(one, {"Content-Type": SET}, token) for each in gateways * 5]
        answers = [answer.status for answer in await asyncio.gather(*calls)]
        assert 202 in answers
        assert set(answers) <= {202, 503}
        assert await valkey.xlen("ww:{s00}:revocations") == 1
        assert not await is_in(client)
        await client.sign_in("ada")
        for each in gateways:
            again = await each.client().send(f"POST {EVENTS_PATH}", {"Content-Type": SET}, token)
            assert again.status == 202
        assert await is_in(client)
