"""What the claims of a token are worth, once it is known who signed them."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.store import NOW
from support.tokens import AUDIENCE, ISSUER, TRUST, event_claims, logout_claims

from gateway.core.security_event import (
    LEEWAY,
    LOGOUT,
    LONGEST_NAME,
    SESSION_REVOKED,
    Fault,
    Kind,
    Refusal,
    SecurityEvent,
    judge,
)

BY_EMAIL = replace(TRUST, subject="email")
DISABLED = "https://schemas.openid.net/secevent/risc/event-type/account-disabled"
CLAIMS = {Kind.LOGOUT: logout_claims, Kind.EVENT: event_claims}
both = pytest.mark.parametrize("kind", Kind)


def judged(kind: Kind, trust: Any = TRUST, **other: Any) -> SecurityEvent:
    event = judge(kind, CLAIMS[kind](**other), trust, NOW)
    assert isinstance(event, SecurityEvent), event
    return event


def fault(kind: Kind, **other: Any) -> Fault | None:
    event = judge(kind, CLAIMS[kind](**other), TRUST, NOW)
    return event.fault if isinstance(event, Refusal) else None


def test_what_ends_sessions() -> None:
    logout, event = judged(Kind.LOGOUT), judged(Kind.EVENT)
    assert (logout.what, logout.revokes, logout.subject, logout.token_id) == (LOGOUT, True, "ada", "logout-1")
    assert (event.what, event.revokes, event.subject, event.issuer) == (SESSION_REVOKED, True, "ada", ISSUER)


@both
def test_it_is_remembered_for_as_long_as_it_could_be_sent_again(kind: Kind) -> None:
    """The latest moment at which it still counts comes before it is forgotten, whatever its `iat`."""
    claims = CLAIMS[kind](iat=int(NOW + LEEWAY))
    event = judge(kind, claims, TRUST, NOW)
    assert isinstance(event, SecurityEvent)
    assert isinstance(judge(kind, claims, TRUST, event.forget_at - 1), SecurityEvent)
    assert isinstance(judge(kind, claims, TRUST, event.forget_at + 1), Refusal)


def named(value: object) -> str:
    """A name that is the same in every worker: moments are not."""
    text = repr(value)
    return "moment" if any(digit in text for digit in "123456789") else text


@both
@pytest.mark.parametrize(
    ("claim", "value", "expected"),
    [
        ("iss", "https://other.example", Fault.ISSUER),
        ("iss", [ISSUER], Fault.ISSUER),
        ("iss", None, Fault.ISSUER),
        ("aud", "somebody", Fault.AUDIENCE),
        ("aud", ["somebody"], Fault.AUDIENCE),
        ("aud", [[AUDIENCE]], Fault.AUDIENCE),
        ("aud", {AUDIENCE: 1}, Fault.AUDIENCE),
        ("aud", None, Fault.AUDIENCE),
        ("aud", AUDIENCE + "-2", Fault.AUDIENCE),
        ("iat", int(NOW + LEEWAY) + 1, Fault.REQUEST),
        ("iat", str(int(NOW)), Fault.REQUEST),
        ("iat", True, Fault.REQUEST),
        ("iat", float("nan"), Fault.REQUEST),
        ("iat", float("-inf"), Fault.REQUEST),
        ("iat", 10**400, Fault.REQUEST),
        ("iat", -(10**400), Fault.REQUEST),
        ("iat", None, Fault.REQUEST),
        ("exp", int(NOW - LEEWAY), Fault.REQUEST),
        ("exp", "never", Fault.REQUEST),
        ("exp", float("inf"), Fault.REQUEST),
        ("nbf", int(NOW + LEEWAY) + 1, Fault.REQUEST),
        ("nbf", False, Fault.REQUEST),
        ("jti", None, Fault.REQUEST),
        ("jti", "", Fault.REQUEST),
        ("jti", 7, Fault.REQUEST),
        ("jti", "j" * (LONGEST_NAME + 1), Fault.REQUEST),
        ("jti", "\ud800", Fault.REQUEST),
        ("events", None, Fault.REQUEST),
        ("events", {}, Fault.REQUEST),
        ("events", [LOGOUT], Fault.REQUEST),
        ("events", LOGOUT, Fault.REQUEST),
        ("events", {LOGOUT: {}, SESSION_REVOKED: {}}, Fault.REQUEST),
        ("events", {LOGOUT: None}, Fault.REQUEST),
        ("events", {SESSION_REVOKED: []}, Fault.REQUEST),
        ("events", {"session-revoked": {}}, Fault.REQUEST),
        ("events", {"https://x\n": {}}, Fault.REQUEST),
    ],
    ids=named,
)
def test_a_claim_counts_only_in_its_own_form(kind: Kind, claim: str, value: object, expected: Fault) -> None:
    assert fault(kind, **{claim: value}) is expected


@both
@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("aud", [AUDIENCE]),
        ("iat", NOW + 0.5),
        ("iat", int(NOW - 299)),
        ("exp", int(NOW) + 1),
        ("nbf", int(NOW)),
        ("jti", "j" * LONGEST_NAME),
        ("something", "else"),
    ],
    ids=named,
)
def test_what_a_claim_may_be(kind: Kind, claim: str, value: object) -> None:
    assert fault(kind, **{claim: value}) is None


def test_how_old_each_may_be() -> None:
    """A logout token is sent once; an event again and again, until it arrives."""
    assert fault(Kind.LOGOUT, iat=int(NOW - 300 - LEEWAY) - 1) is Fault.REQUEST
    assert fault(Kind.EVENT, iat=int(NOW - 300 - LEEWAY) - 1) is None
    assert fault(Kind.EVENT, iat=int(NOW - 86_400 - LEEWAY) - 1) is Fault.REQUEST


def test_a_logout_is_for_one_party_an_event_for_several() -> None:
    assert fault(Kind.LOGOUT, aud=[AUDIENCE, "another"]) is Fault.AUDIENCE
    assert fault(Kind.EVENT, aud=["another", AUDIENCE]) is None


@pytest.mark.parametrize(
    "other",
    [
        {"nonce": "n"},
        {"nonce": ""},
        {"sub": None},
        {"sub": None, "sid": ""},
        {"sub": "ada", "sid": 7},
        {"sub": ["ada"]},
        {"sub": "a\nb"},
        {"sub": "a" * (LONGEST_NAME + 1)},
        {"events": {SESSION_REVOKED: {}}},
        {"events": {LOGOUT.replace("http:", "https:"): {}}},
        {"events": {LOGOUT + "/": {}}},
    ],
)
def test_what_is_no_logout_token(other: dict[str, Any]) -> None:
    assert fault(Kind.LOGOUT, **other) is Fault.REQUEST


def test_whom_a_logout_token_names() -> None:
    assert judged(Kind.LOGOUT, sid="s1").subject == "ada"
    assert judged(Kind.LOGOUT, sub=None, sid="s1").subject is None
    assert judged(Kind.LOGOUT, BY_EMAIL).subject is None
    assert judged(Kind.LOGOUT, BY_EMAIL, email="ada@example.org").subject == "ada@example.org"
    assert judged(Kind.LOGOUT, BY_EMAIL, email=["ada@example.org"]).subject is None


ISS_SUB = {"format": "iss_sub", "iss": ISSUER, "sub": "ada"}
OPAQUE = {"format": "opaque", "id": "ada"}
EMAIL = {"format": "email", "email": "ada@example.org"}


@pytest.mark.parametrize(
    ("subject", "by_sub", "by_email"),
    [
        (ISS_SUB, "ada", None),
        (OPAQUE, "ada", None),
        (EMAIL, None, "ada@example.org"),
        ({**ISS_SUB, "iss": "https://other.example"}, None, None),
        ({"format": "phone_number", "phone_number": "+1"}, None, None),
        ({"format": "complex", "user": ISS_SUB}, "ada", None),
        ({"format": "complex", "user": EMAIL, "session": OPAQUE}, None, "ada@example.org"),
        ({"format": "complex", "user": ISS_SUB, "device": OPAQUE, "tenant": OPAQUE}, "ada", None),
        ({"format": "complex", "session": OPAQUE}, None, None),
        ({"format": "complex", "device": OPAQUE}, None, None),
        ({"format": "complex", "tenant": OPAQUE}, None, None),
    ],
)
def test_whom_an_event_names(subject: object, by_sub: str | None, by_email: str | None) -> None:
    assert judged(Kind.EVENT, sub_id=subject).subject == by_sub
    assert judged(Kind.EVENT, BY_EMAIL, sub_id=subject).subject == by_email


@pytest.mark.parametrize(
    "subject",
    [
        None,
        "ada",
        {},
        [OPAQUE],
        {"format": ""},
        {"format": ["opaque"], "id": "ada"},
        {"format": "opaque"},
        {"format": "opaque", "id": ""},
        {"format": "opaque", "id": {"id": "ada"}},
        {"format": "iss_sub", "sub": "ada"},
        {"format": "iss_sub", "iss": ISSUER},
        {"format": "email", "email": "\ud800"},
        {"format": "complex"},
        {"format": "complex", "user": "ada"},
        {"format": "complex", "user": OPAQUE, "session": "s1"},
        {"format": "complex", "user": {"id": "ada"}},
    ],
)
def test_what_is_no_subject(subject: object) -> None:
    assert fault(Kind.EVENT, sub_id=subject) is Fault.REQUEST


def test_a_complex_subject_holds_no_further_one() -> None:
    nested = {"format": "complex", "user": {"format": "complex", "user": OPAQUE}}
    assert judged(Kind.EVENT, sub_id=nested).subject is None


def test_other_events_end_nothing() -> None:
    event = judged(Kind.EVENT, events={DISABLED: {}})
    assert (event.what, event.revokes) == (DISABLED, False)


def test_a_logout_does_not_come_as_an_event() -> None:
    assert not judged(Kind.EVENT, events={LOGOUT: {}}).revokes


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(), parts, max_size=3),
    max_leaves=8,
)
SHAPED = st.fixed_dictionaries(
    {},
    optional={
        "sub_id": st.dictionaries(
            st.sampled_from(["format", "id", "iss", "sub", "email", "user"]),
            st.sampled_from(["complex", "opaque", "iss_sub", ISSUER]) | JSON,
        ),
        "events": st.dictionaries(st.sampled_from([LOGOUT, SESSION_REVOKED]) | st.text(), JSON, max_size=2),
        **dict.fromkeys(("aud", "exp", "nbf", "iat", "jti", "sub", "sid", "nonce"), JSON),
    },
)


@given(st.sampled_from(Kind), SHAPED)
def test_whatever_is_claimed_is_judged(kind: Kind, other: dict[str, Any]) -> None:
    event = judge(kind, {**CLAIMS[kind](), **other}, TRUST, NOW)
    assert isinstance(event, Refusal) or event.issuer == ISSUER
