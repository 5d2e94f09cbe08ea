"""Who asks, as an app behind the gateway verifies it; and tokens that are taken for what they are not."""

from pathlib import Path

import jwt
import pytest
from support.assertions import key_set, verified
from support.gateway import POLICY, Client, OpenScene, Scene
from support.notices import MESSAGE
from support.recording import Received, Recorder
from support.store import NOW
from support.upstreams import serving

from gateway.admin.tokens import Scope, TokenFault, issue_token, verify_token
from gateway.core.policy.model import OWN_SEGMENT
from gateway.core.security_event import Kind, Refusal, Trust
from gateway.identity.event_key import key_id
from gateway.identity.jwks import FileKeys
from gateway.identity.transmitters import Transmitter, Transmitters
from gateway.notices.events import claims_of

ORIGIN = "http://localhost"
KEYS = f"GET /{OWN_SEGMENT}/jwks.json"
EXCHANGE = POLICY.replace("[localhost, 127.0.0.1]", "[localhost]")


def token_in(received: Received) -> str:
    (token,) = received.header("watchword-assertion")
    return token


async def asserted(scene: Scene, client: Client, line: str = "GET /mine") -> str:
    assert (await client.call(line)).status == 200
    return token_in(scene.app.requests[-1])


async def test_an_app_verifies_who_asks(scene: Scene) -> None:
    ada = await scene.signed_in(groups=("traders", "staff"))
    token = await asserted(scene, ada)
    keys = key_set(await scene.client().call(KEYS))
    (session,) = (await ada.call("GET /.watchword/api/sessions")).json
    assert verified(token, keys, "exchange", ORIGIN) == {
        "iss": ORIGIN,
        "aud": "exchange",
        "sub": "ada",
        "name": "Ada",
        "email": "ada@example.org",
        "groups": ["staff", "traders"],
        "sid": session["id"],
        "amr": ["pwd"],
        "acr": "pwd",
        "auth_time": int(NOW),
        "iat": int(NOW),
        "exp": int(NOW) + 300,
    }


async def test_it_lives_as_long_as_the_settings_say_and_is_kept_meanwhile(open_scene: OpenScene) -> None:
    async with open_scene(assertion={"lifetime": 50.0}) as scene:
        ada = await scene.signed_in()
        keys = key_set(await scene.client().call(KEYS))
        first = await asserted(scene, ada)
        scene.clock.advance(39)
        assert await asserted(scene, ada) == first
        scene.clock.advance(1)
        again = verified(await asserted(scene, ada), keys, "exchange", ORIGIN)
        assert (again["iat"], again["exp"]) == (int(NOW) + 40, int(NOW) + 90)


async def test_a_code_shows_from_the_request_on_that_it_was_given_for(scene: Scene) -> None:
    ada = await scene.signed_in()
    keys = key_set(await scene.client().call(KEYS))
    before = verified(await asserted(scene, ada), keys, "exchange", ORIGIN)
    await ada.enrol()
    code = {"Watchword-Code": ada.next_code()}
    assert (await ada.call("GET /password", headers=code)).status == 200
    given_at = int(scene.clock.now)
    approved = verified(token_in(scene.app.requests[-1]), keys, "exchange", ORIGIN)
    assert (before["amr"], before["acr"]) == (["pwd"], "pwd")
    assert (approved["amr"], approved["acr"]) == (["pwd", "otp", "mfa"], "otp")
    assert (approved["auth_time"], approved["sid"]) == (given_at, before["sid"])


async def test_a_public_path_carries_none(scene: Scene) -> None:
    ada = await scene.signed_in()
    await ada.call("GET /public/x", headers={"Watchword-Assertion": "forged"})
    (received,) = scene.app.requests
    assert b"atchword" not in received.head.replace(b"1.1 watchword", b"")


async def test_an_app_cannot_use_it_at_another(open_scene: OpenScene) -> None:
    other = Recorder()
    async with serving(other) as elsewhere, open_scene(policy=EXCHANGE) as scene:
        second = scene.policy.read_text().replace("app: exchange", "app: second")
        second = second.replace("[localhost]", "[127.0.0.1]").replace(
            scene.upstream.address.replace("127.0.0.1", "localhost"), elsewhere.address
        )
        scene.policy.with_name("second.yaml").write_text(second)
        assert scene.gateway.reload_policies() == ()
        ada = await scene.signed_in()
        token = await asserted(scene, ada)
        there = scene.client("127.0.0.1")
        await there.sign_in("ada")
        assert (await there.call("GET /mine")).status == 200
        keys = key_set(await scene.client().call(KEYS))
        claims = verified(token_in(other.requests[-1]), keys, "second", "http://127.0.0.1")
        assert claims["aud"] == "second"
        with pytest.raises(jwt.InvalidAudienceError):
            verified(token, keys, "second", ORIGIN)
        with pytest.raises(jwt.InvalidIssuerError):
            verified(token, keys, "exchange", "http://127.0.0.1")


async def test_it_is_no_token_for_operators(scene: Scene) -> None:
    token = await asserted(scene, await scene.signed_in())
    assert verify_token(token, scene.gateway.ring, NOW) is TokenFault.FORGED


async def test_it_is_no_event_even_where_our_word_ends_sessions(scene: Scene, tmp_path: Path) -> None:
    token = await asserted(scene, await scene.signed_in())
    file = tmp_path / "our-keys.json"
    file.write_bytes((await scene.client().call(KEYS)).body)
    trust = Trust(ORIGIN, "exchange", "sub", logout_age=300, event_age=300)
    parties = Transmitters(scene.gateway.store, {ORIGIN: Transmitter(trust, FileKeys(file, ("ES256",)))})
    for kind in Kind:
        refused = await parties.verify(token, kind, NOW)
        assert isinstance(refused, Refusal)
        assert "typ" in refused.why


async def test_neither_an_event_nor_an_operators_token_names_anybody(scene: Scene) -> None:
    ring = scene.gateway.ring
    keys = key_set(await scene.client().call(KEYS))
    claims = claims_of(MESSAGE, issuer=ORIGIN, audience="exchange", now=NOW)
    key = ring.event_key()
    told = jwt.encode(
        {**claims, "sub": "ada", "exp": int(NOW) + 300},
        key,
        algorithm="ES256",
        headers={"typ": "secevent+jwt", "kid": key_id(key.public_key())},
    )
    with pytest.raises(jwt.InvalidTokenError, match="some other token"):
        verified(told, keys, "exchange", ORIGIN)
    operator = issue_token(ring, "grace", frozenset(Scope), 300, NOW)
    with pytest.raises(jwt.InvalidTokenError, match="some other token"):
        verified(operator, keys, "exchange", ORIGIN)


@pytest.mark.parametrize("alter", [lambda part: part[:-2] + "AA", lambda _: "", lambda part: part + "AA"])
async def test_what_was_altered_does_not_count(scene: Scene, alter: object) -> None:
    token = await asserted(scene, await scene.signed_in())
    keys = key_set(await scene.client().call(KEYS))
    parts = token.split(".")
    for at in (1, 2):
        altered = [alter(part) if at == index else part for index, part in enumerate(parts)]  # type: ignore[operator]
        with pytest.raises(jwt.InvalidTokenError):
            verified(".".join(altered), keys, "exchange", ORIGIN)
