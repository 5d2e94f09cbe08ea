"""Tokens of other parties: which ones count, and what follows, once."""

import asyncio
import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from support.race import PROCESSES, Race, store_work
from support.store import NOW, every_size, signed_in
from support.tokens import (
    ISSUER,
    PRIVATE,
    TRUST,
    encoded,
    event_claims,
    event_token,
    jwk,
    key_set,
    keys_in,
    logout_claims,
    logout_token,
    part,
    signed,
)

from gateway.core.security_event import Fault, Kind, Outcome, Refusal, SecurityEvent
from gateway.identity.jwks import FileKeys, Key, read_keys
from gateway.identity.transmitters import LONGEST_TOKEN, Transmitter, Transmitters
from gateway.store.connection import Connection
from gateway.store.opening import Store

NOTED = jwt.encode({}, PRIVATE["ES256"], algorithm="ES256")


class Known:
    """The keys of a set, as they are."""

    def __init__(self, text: str = key_set()) -> None:
        self._keys = read_keys(text, ("RS256", "ES256", "EdDSA"))

    async def find(self, kid: str) -> Key | None:
        return self._keys.get(kid)

    async def close(self) -> None: ...


OTHER = "https://other.example"
OTHER_KEY = ec.derive_private_key(8, ec.SECP256R1())
TRUSTED = {
    ISSUER: Transmitter(TRUST, Known()),
    OTHER: Transmitter(TRUST, Known(key_set(jwk("ES256", OTHER_KEY, kid="theirs")))),
}


def party(store: Store | None = None) -> Transmitters:
    return Transmitters(store or Store.__new__(Store), TRUSTED)


async def judged(token: str, kind: Kind = Kind.LOGOUT) -> SecurityEvent | Fault:
    verdict = await party().verify(token, kind, NOW)
    return verdict.fault if isinstance(verdict, Refusal) else verdict


def unsigned(header: Mapping[str, Any]) -> str:
    return f"{part({'typ': 'logout+jwt', 'kid': 'ES256', **header})}.{part(logout_claims())}."


def by_hmac(encoding: Encoding, form: PublicFormat) -> str:
    """Signed by HMAC, with what everybody knows for a secret."""
    secret = PRIVATE["ES256"].public_key().public_bytes(encoding, form)
    said = f"{part({'typ': 'logout+jwt', 'kid': 'ES256', 'alg': 'HS256'})}.{part(logout_claims())}"
    return f"{said}.{encoded(hmac.digest(secret, said.encode(), hashlib.sha256))}"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_token_that_counts(algorithm: str) -> None:
    verdict = await judged(signed(logout_claims(), "logout+jwt", algorithm))
    assert isinstance(verdict, SecurityEvent)
    assert (verdict.issuer, verdict.subject) == (ISSUER, "ada")


@pytest.mark.parametrize("typ", ["logout+jwt", "application/logout+jwt", "LOGOUT+JWT"])
async def test_how_a_logout_token_may_call_itself(typ: str) -> None:
    assert isinstance(await judged(signed(logout_claims(), typ)), SecurityEvent)


@pytest.mark.parametrize(
    ("token", "fault"),
    [
        pytest.param(signed(logout_claims(), "JWT"), Fault.REQUEST, id="an ordinary token"),
        pytest.param(signed(logout_claims(), None), Fault.REQUEST, id="without a type"),
        pytest.param(signed(logout_claims(), "at+jwt"), Fault.REQUEST, id="an access token"),
        pytest.param(event_token(), Fault.REQUEST, id="an event"),
        pytest.param(signed(logout_claims(), "text/logout+jwt"), Fault.REQUEST, id="another media type"),
        pytest.param(signed(logout_claims(), "logout+jwt", crit=["exp"]), Fault.REQUEST, id="critical"),
        pytest.param(signed(logout_claims(), "logout+jwt", crit=["b64"], b64=True), Fault.REQUEST, id="b64"),
        pytest.param(logout_token(nonce="n"), Fault.REQUEST, id="with a nonce, as an ID token has"),
        pytest.param(logout_token(iss=OTHER), Fault.KEY, id="for another issuer, whose key it is not"),
        pytest.param(logout_token(iss="https://nobody.example"), Fault.ISSUER, id="nobody known"),
        pytest.param(logout_token(iss=[ISSUER]), Fault.ISSUER, id="a list of issuers"),
        pytest.param(
            signed(logout_claims(), "logout+jwt", key=OTHER_KEY, kid="theirs"), Fault.KEY, id="another's key"
        ),
        pytest.param(signed(logout_claims(), "logout+jwt", key=OTHER_KEY), Fault.AUTHENTICATION, id="forged"),
        pytest.param(signed(logout_claims(), "logout+jwt", kid="ES257"), Fault.KEY, id="an unknown key"),
        pytest.param(signed(logout_claims(), "logout+jwt", kid=None), Fault.KEY, id="no key"),
        pytest.param(signed(logout_claims(), "logout+jwt", "PS256", kid="RS256"), Fault.KEY, id="PS256"),
        pytest.param(signed(logout_claims(), "logout+jwt", kid="EdDSA"), Fault.KEY, id="another kind"),
        pytest.param(unsigned({"alg": "none"}), Fault.KEY, id="none"),
        pytest.param(unsigned({"alg": "None"}), Fault.KEY, id="None"),
        pytest.param(unsigned({"alg": "ES256"}), Fault.AUTHENTICATION, id="no signature"),
        pytest.param(unsigned({}), Fault.KEY, id="no algorithm"),
        pytest.param(by_hmac(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), Fault.KEY, id="HS256, PEM"),
        pytest.param(by_hmac(Encoding.X962, PublicFormat.UncompressedPoint), Fault.KEY, id="HS256, point"),
        pytest.param("", Fault.REQUEST, id="nothing"),
        pytest.param("a.b.c", Fault.REQUEST, id="no token"),
        pytest.param(signed([1], "logout+jwt"), Fault.REQUEST, id="a list"),
        pytest.param(signed("ada", "logout+jwt"), Fault.REQUEST, id="a name"),
        pytest.param("é" + logout_token(), Fault.REQUEST, id="not ASCII"),
        pytest.param(logout_token(pad="x" * LONGEST_TOKEN), Fault.REQUEST, id="very long"),
        pytest.param(part("[" * 9000) + ".e30.", Fault.REQUEST, id="nested"),
    ],
)  # fmt: skip
async def test_what_does_not_count(token: str, fault: Fault) -> None:
    assert await judged(token) is fault


@given(
    st.text()
    | st.builds(lambda *parts: ".".join(parts), *[st.sampled_from(NOTED.split(".")) | st.text()] * 3)
)
def test_no_text_is_a_token(text: str) -> None:
    assert isinstance(asyncio.run(judged(text)), Fault)


@given(st.integers(0, len(logout_token()) - 1), st.characters(codec="ascii"))
def test_one_other_character_makes_it_void(position: int, character: str) -> None:
    genuine = signed(logout_claims(), "logout+jwt", "EdDSA")  # whose signatures are always the same
    changed = genuine[: position % len(genuine)] + character + genuine[position % len(genuine) + 1 :]
    assert changed == genuine or isinstance(asyncio.run(judged(changed)), Fault)


HEADERS = st.dictionaries(
    st.sampled_from(["typ", "kid", "crit", "b64", "jku", "jwk", "x5c", "zip", "cty"]),
    st.none() | st.booleans() | st.text() | st.lists(st.text()),
)


@given(HEADERS)
def test_no_header_is_a_surprise(header: dict[str, Any]) -> None:
    said = part({"alg": "ES256", "kid": "ES256", "typ": "logout+jwt", **header})
    assert isinstance(asyncio.run(judged(f"{said}.{part(logout_claims())}.{NOTED.split('.')[2]}")), Fault)


# --- what follows


async def told(store: Store, claims: Mapping[str, Any], kind: Kind = Kind.EVENT, now: float = NOW) -> Outcome:
    parties = party(store)
    event = await parties.verify(signed(claims, str(kind)), kind, now)
    assert isinstance(event, SecurityEvent), event
    return await parties.act(event, now)


@every_size
@pytest.mark.parametrize(("kind", "claims"), [(Kind.LOGOUT, logout_claims()), (Kind.EVENT, event_claims())])
async def test_every_session_ends_and_nobody_elses(store: Store, kind: Kind, claims: dict[str, Any]) -> None:
    first, second = await signed_in(store), await signed_in(store, browser="phone")
    other = await signed_in(store, "bob")
    assert await told(store, claims, kind) is Outcome.REVOKED
    for cookie, live in ((first.cookie, False), (second.cookie, False), (other.cookie, True)):
        snapshot = await store.who.ask(cookie, NOW)
        assert (snapshot is not None and snapshot.fault(NOW) is None) is live
    (entry, *_) = await store.audit.latest("ada")
    assert (entry.event, entry.actor, entry.address) == ("account-revoked", f"transmitter:{ISSUER}", "")
    (revocation,) = await store.revocations.list()
    assert (revocation.subject, revocation.actor) == ("ada", f"transmitter:{ISSUER}")


async def test_once_is_enough(store: Store) -> None:
    await signed_in(store)
    assert await told(store, event_claims()) is Outcome.REVOKED
    again = await signed_in(store)
    assert await told(store, event_claims(), now=NOW + 1) is Outcome.REPEATED
    snapshot = await store.who.ask(again.cookie, NOW + 1)
    assert snapshot is not None
    assert snapshot.fault(NOW + 1) is None, "who signed in since stays signed in"
    assert len(await store.revocations.list()) == 1


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param(event_claims(sub_id={"format": "opaque", "id": "nobody"}), id="no such account"),
        pytest.param(event_claims(sub_id={"format": "did", "url": "did:x"}), id="a format of no use"),
        pytest.param(event_claims(events={"https://x.example/other": {}}), id="another event"),
    ],
)
async def test_what_ends_nothing_is_on_record(store: Store, claims: dict[str, Any]) -> None:
    session = await signed_in(store)
    assert await told(store, claims) is Outcome.IGNORED
    assert await told(store, claims) is Outcome.REPEATED
    snapshot = await store.who.ask(session.cookie, NOW)
    assert snapshot is not None
    assert snapshot.fault(NOW) is None
    (entry,) = await store.audit.latest("")
    assert (entry.event, entry.actor) == ("event-ignored", f"transmitter:{ISSUER}")
    assert await store.revocations.list() == []


async def test_a_session_of_theirs_is_unknown_here(store: Store) -> None:
    await signed_in(store)
    assert await told(store, logout_claims(sub=None, sid="s-1"), Kind.LOGOUT) is Outcome.IGNORED


async def test_two_parties_may_use_the_same_name_for_a_token(store: Store) -> None:
    await signed_in(store)
    assert await told(store, event_claims(jti="1")) is Outcome.REVOKED
    assert await told(store, logout_claims(jti="2"), Kind.LOGOUT) is Outcome.REVOKED


async def test_a_claim_that_nobody_settled_is_taken_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that dies before it has ended anything must not have used up the token."""
    await signed_in(store)
    run = Connection.run

    async def dies(self: Connection, script: str, *arguments: Any, **more: Any) -> Any:
        if script == "revoke":
            raise ConnectionAbortedError
        return await run(self, script, *arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Connection, "run", dies)
        with pytest.raises(ConnectionAbortedError):
            await told(store, event_claims())
    assert await told(store, event_claims(), now=NOW + 1) is Outcome.BUSY
    assert await told(store, event_claims(), now=NOW + 60) is Outcome.REVOKED


async def act_once(store: Store) -> str:
    return await told(store, event_claims())


async def test_of_many_processes_one_ends_it(store: Store, valkey_url: str, race: Race) -> None:
    await signed_in(store)
    outcomes = race(store_work, valkey_url, act_once)
    assert outcomes.count(Outcome.REVOKED) == 1
    assert set(outcomes) <= {Outcome.REVOKED, Outcome.BUSY, Outcome.REPEATED}
    assert len(outcomes) == PROCESSES
    assert len(await store.revocations.list()) == 1


async def test_keys_are_let_go(store: Store, tmp_path: Path) -> None:
    parties = Transmitters(store, {ISSUER: Transmitter(TRUST, FileKeys(keys_in(tmp_path), ("ES256",)))})
    assert parties
    assert not Transmitters(store, {})
    await parties.close()
