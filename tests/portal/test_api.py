"""The JSON calls: what each takes, what it answers, and how it says no."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from redis.asyncio import Redis
from support.gateway import PASSWORD, Client, OpenScene, Scene
from support.raw_client import Answer
from support.store import NOW

API = "/.watchword/api"
UNKNOWN = "00" + "f" * 30
JSON = "application/json"
SIGN_IN = {"subject": "ada", "password": PASSWORD}


def problem(answer: Answer) -> tuple[int, str]:
    assert answer.header(b"content-type") == [b"application/problem+json"]
    body = answer.json
    assert body["status"] == answer.status
    assert body["type"] == f"urn:watchword:problem:{body['reason']}"
    assert body["title"]
    return answer.status, body["reason"]


def at(seconds: float) -> str:
    """RFC 3339, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


async def me(client: Client) -> Any:
    answer = await client.call(f"GET {API}/me")
    assert answer.status == 200, answer
    return answer.json


async def begin(client: Client, label: object = "Phone", **headers: str) -> Answer:
    return await client.call(f"POST {API}/factors", {"label": label}, headers=headers)


# --- signing in and out


async def test_sign_in(scene: Scene) -> None:
    await scene.signed_in()
    client = scene.client()
    answer = await client.call(f"POST {API}/sign-in", {"subject": " Ada ", "password": PASSWORD})
    assert answer.status == 200
    assert answer.header(b"content-type") == [b"application/json"]
    assert answer.header(b"cache-control") == [b"no-store"]
    found = await me(client)
    assert answer.json == {
        "subject": "ada",
        "session": found["session"],
        "device": found["device"],
        "device_state": "authorised",
    }
    session, device = (value.decode() for value in answer.header(b"set-cookie"))
    assert session.startswith("ww-session=00.")
    assert session.endswith("; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax")
    assert device.startswith("ww-device=")
    assert device.endswith("; Path=/; Max-Age=34560000; HttpOnly; SameSite=Lax")


@pytest.mark.parametrize(
    "wrong",
    [
        {"subject": "ada", "password": "wrong"},
        {"subject": "nobody", "password": PASSWORD},
        {"subject": "", "password": PASSWORD},
        {"subject": "ada\0", "password": PASSWORD},
        {"subject": "*", "password": PASSWORD},
        {"subject": "x" * 10_000, "password": "y" * 10_000},
    ],
    ids=lambda wrong: wrong["subject"][:10],
)
async def test_sign_in_refused(scene: Scene, wrong: dict[str, str]) -> None:
    await scene.signed_in()
    client = scene.client()
    answer = await client.call(f"POST {API}/sign-in", wrong)
    assert problem(answer) == (401, "wrong-credentials")
    assert answer.header(b"www-authenticate")  # RFC 9110 section 15.5.2
    assert client.cookies == {}
    assert "Retry-After" not in str(answer.head)


async def test_sign_in_too_often(open_scene: OpenScene) -> None:
    async with open_scene(sign_in={"attempts_by_account": 2, "delay": 90}) as scene:
        await scene.signed_in()
        for _ in range(2):
            await scene.client().call(f"POST {API}/sign-in", {**SIGN_IN, "password": "wrong"})
        answer = await scene.client().call(f"POST {API}/sign-in", SIGN_IN)
        assert problem(answer) == (429, "too-many-attempts")
        assert answer.header(b"retry-after") == [b"90"]


UNREADABLE = {
    "not JSON": (JSON, b"{", 400),
    "not an object": (JSON, b'["ada"]', 400),
    "not UTF-8": (JSON, b'{"subject": "\xff"}', 400),
    "half a character": (JSON, b'{"subject": "\\ud800", "password": "x"}', 400),
    "a field twice": (JSON, b'{"subject": "eve", "subject": "ada", "password": "x"}', 400),
    "a field missing": (JSON, b'{"subject": "ada"}', 400),
    "a field of another type": (JSON, b'{"subject": "ada", "password": 1}', 400),
    "null": (JSON, b'{"subject": "ada", "password": null}', 400),
    "empty": (JSON, b"", 400),
    "another type": ("text/plain", json.dumps(SIGN_IN).encode(), 400),
    "no type": ("", json.dumps(SIGN_IN).encode(), 400),
    "too large": (JSON, json.dumps({**SIGN_IN, "more": "x" * 70_000}).encode(), 413),
}


@pytest.mark.parametrize(("kind", "body", "status"), UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_a_body_that_cannot_be_read(scene: Scene, kind: str, body: bytes, status: int) -> None:
    await scene.signed_in()
    client = scene.client()
    answer = await client.send(f"POST {API}/sign-in", {"Content-Type": kind} if kind else {}, body)
    reason = "body-too-large" if status == 413 else "body-unreadable"
    assert problem(answer) == (status, reason)
    assert client.cookies == {}


async def test_sign_out(scene: Scene) -> None:
    ada = await scene.signed_in()
    old, elsewhere = ada.with_cookies(session=ada.session), await scene.signed_in()
    answer = await ada.call(f"POST {API}/sign-out")
    assert (answer.status, answer.body) == (204, b"")
    assert "ww-session" not in ada.cookies
    assert "ww-device" in ada.cookies
    assert problem(await old.call(f"GET {API}/me")) == (401, "no-session")
    assert (await elsewhere.call(f"GET {API}/me")).status == 200
    assert (await scene.client().call(f"POST {API}/sign-out")).status == 204


async def test_me(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True, groups=("traders", "staff"))
    found = await me(ada)
    (factor,) = found.pop("factors")
    (grant,) = found.pop("grants")
    assert found == {
        "subject": "ada",
        "name": "Ada",
        "email": "ada@example.org",
        "groups": ["staff", "traders"],
        "session": found["session"],
        "device": found["device"],
        "recovery_codes_left": 10,
    }
    assert (factor["label"], factor["state"], set(factor)) == (
        "Phone",
        "confirmed",
        {"id", "label", "state", "created_at", "last_used_at", "full_at"},
    )
    assert factor["full_at"] is None
    assert factor["created_at"] == factor["last_used_at"] == at(NOW)
    # The code of the set-up counts as that of the sign-in, for as long as the session lasts.
    assert (grant["action"], grant["single_use"]) == ("sign-in", False)
    assert (grant["granted_at"], grant["expires_at"]) == (at(NOW), at(NOW + 86_400))


# --- factors


async def test_a_factor_is_begun_and_confirmed(scene: Scene) -> None:
    ada = await scene.signed_in()
    begun = await begin(ada, " My phone ")
    assert begun.status == 201
    assert begun.header(b"cache-control") == [b"no-store"]
    ada.setup_key = begun.json["secret"]
    assert begun.json["label"] == "My phone"
    assert begun.json["uri"].startswith("otpauth://totp/Watchword:ada?secret=" + ada.setup_key)
    assert begun.json["qr_svg"].startswith("<svg")
    (waiting,) = (await me(ada))["factors"]
    assert (waiting["id"], waiting["state"], waiting["last_used_at"]) == (begun.json["id"], "pending", None)

    before = ada.session
    confirmed = await ada.call(f"POST {API}/factors/{begun.json['id']}/confirm", {"code": ada.code()})
    assert confirmed.status == 200
    assert confirmed.header(b"cache-control") == [b"no-store"]
    answer = confirmed.json
    assert len(set(answer.pop("recovery_codes"))) == 10
    assert answer == {"id": begun.json["id"], "state": "confirmed"}
    assert ada.session != before
    (factor,) = (await me(ada))["factors"]
    assert factor["state"] == "confirmed"


@pytest.mark.parametrize(
    ("label", "kept"), [("", "Authenticator"), (" ", "Authenticator"), ("é" * 100, "é" * 64)]
)
async def test_a_label_may_be_missing_and_is_short(scene: Scene, label: str, kept: str) -> None:
    assert (await begin(await scene.signed_in(), label)).json["label"] == kept


@pytest.mark.parametrize("label", [1, None, ["Phone"], True])
async def test_a_label_is_text(scene: Scene, label: object) -> None:
    assert problem(await begin(await scene.signed_in(), label)) == (400, "body-unreadable")


async def test_there_is_an_end_to_factors(scene: Scene, valkey: Redis) -> None:
    ada = await scene.signed_in(factor=True)
    await valkey.hset("ww:{s00}:account:ada", "factors", "10")
    full = await begin(ada, **{"Watchword-Code": ada.next_code()})
    assert problem(full) == (403, "denied")
    assert "10 factors" in full.json["detail"]


async def test_a_second_factor_needs_a_code_of_the_first(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    asked = await begin(ada, "Tablet")
    assert problem(asked) == (401, "code-needed")
    assert asked.json["action"] == "add-factor"
    assert (await ada.answer(asked)).status == 200
    assert problem(await begin(ada, "Another")) == (401, "code-needed")  # the code was for the one request
    assert (await begin(ada, "Tablet")).status == 201
    assert problem(await begin(ada, "Tablet")) == (401, "code-needed")


async def test_the_code_may_come_along(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    wrong = await begin(ada, "Tablet", **{"Watchword-Code": ada.wrong_code()})
    assert problem(wrong) == (403, "wrong-code")
    assert problem(await begin(ada, "Tablet", **{"Watchword-Code": ada.code()})) == (403, "used-code")
    assert (await begin(ada, "Tablet", **{"Watchword-Code": ada.next_code()})).status == 201


async def test_the_first_code_is_refused_as_every_other(scene: Scene) -> None:
    ada = await scene.signed_in()
    begun = (await begin(ada)).json
    ada.setup_key = begun["secret"]
    refused = await ada.call(f"POST {API}/factors/{begun['id']}/confirm", {"code": ada.wrong_code()})
    assert problem(refused) == (403, "wrong-code")
    assert refused.json["next_code_in"] == 30 - int(NOW) % 30


async def test_removing_a_factor_needs_a_code(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    (factor,) = (await me(ada))["factors"]
    line = f"DELETE {API}/factors/{factor['id']}"
    asked = await ada.call(line)
    assert problem(asked) == (401, "code-needed")
    assert len((await me(ada))["factors"]) == 1
    assert (await ada.answer(asked)).status == 200
    removed = await ada.call(line)
    assert (removed.status, removed.body) == (204, b"")
    assert (await me(ada))["factors"] == []
    assert problem(await ada.call(line)) == (404, "not-found")


# --- challenges


async def asked_to_pay(client: Client, **fields: object) -> Answer:
    return await client.call("POST /api/transfers", {"amount": 12.5, "address": "bc1q", **fields})


async def test_a_challenge_tells_what_is_approved(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    asked = await asked_to_pay(ada, address="<b>\u202e&")
    assert problem(asked) == (401, "code-needed")
    shown = await ada.call(f"GET {asked.json['answer']}")
    assert shown.status == 200
    assert shown.json == {
        "id": asked.json["challenge"],
        "action": "approve-transaction",
        "title": "Approving a transaction",
        "method": "POST",
        "path": "/api/transfers",
        "approves": [{"label": "Amount", "value": "12.5"}, {"label": "To", "value": "<b>\u202e&"}],
        "expires_at": at(NOW + 300),
    }
    assert asked.json["approves"] == shown.json["approves"]


async def test_a_right_code_brings_a_grant_and_a_new_cookie(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    asked, before = await asked_to_pay(ada), ada.session
    answered = await ada.answer(asked)
    assert answered.status == 200
    now = scene.clock.now
    assert answered.json == {
        "grant": {
            "action": "approve-transaction",
            "granted_at": at(now),
            "expires_at": at(now + 300),
            "single_use": True,
        }
    }
    assert ada.session != before
    assert "ww-resume" not in ada.cookies  # nothing was parked: the program repeats its request itself
    assert (await asked_to_pay(ada)).status == 200


async def test_a_wrong_code_says_when_the_next_one_comes(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    asked = await asked_to_pay(ada)
    wait = 30 - int(NOW) % 30
    codes = {
        ada.wrong_code(): (403, "wrong-code"),
        ada.code(): (403, "used-code"),
        ada.code(-1): (403, "used-code"),
        "12 345": (422, "malformed-code"),
    }
    for code, expected in codes.items():
        refused = await ada.answer(asked, code)
        assert problem(refused) == expected
        assert refused.json["next_code_in"] == wait
        assert refused.json["detail"]


async def test_a_wrong_clock_is_told_in_seconds(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    scene.clock.advance(1800)
    asked = await asked_to_pay(ada)
    for steps, off in ((-6, -180), (20, 600)):
        refused = await ada.answer(asked, ada.code(steps))
        assert problem(refused) == (403, "wrong-clock")
        assert refused.json["clock_off_by"] == off
        assert f"{abs(off)} s {'behind' if off < 0 else 'ahead'}" in refused.json["detail"]
    assert problem(await ada.answer(asked, ada.code(-2))) == (403, "expired-code")
    assert (await ada.answer(asked, ada.code())).status == 200


async def test_a_challenge_ends(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    answered, expired = await asked_to_pay(ada), await asked_to_pay(ada)
    assert (await ada.answer(answered)).status == 200
    foreign = await asked_to_pay(await scene.signed_in())
    over = [answered.json["answer"], foreign.json["answer"], f"{API}/step-up/{UNKNOWN}"]
    assert (await ada.call(f"GET {expired.json['answer']}")).status == 200
    for address in (*over, expired.json["answer"]):
        if address not in over:
            scene.clock.advance(300)
        assert problem(await ada.call(f"GET {address}")) == (410, "challenge-expired")
        gone = await ada.call(f"POST {address}", {"code": ada.code()})
        assert problem(gone) == (410, "challenge-expired")


@pytest.mark.parametrize("body", [{}, {"code": 123456}, {"code": None}])
async def test_a_code_is_text(scene: Scene, body: object) -> None:
    ada = await scene.signed_in(factor=True)
    asked = await asked_to_pay(ada)
    assert problem(await ada.call(f"POST {asked.json['answer']}", body)) == (400, "body-unreadable")


# --- the password

NEW = "a longer horse battery staple"
CHANGE = {"current": PASSWORD, "new": NEW}


async def test_changing_the_password(scene: Scene) -> None:
    ada, elsewhere = await scene.signed_in(factor=True), await scene.signed_in()
    asked = await ada.call(f"PUT {API}/password", CHANGE)
    assert problem(asked) == (401, "code-needed")
    assert asked.json["approves"] == []
    assert (await ada.answer(asked)).status == 200
    old = ada.with_cookies(session=ada.session)
    assert (await ada.call(f"PUT {API}/password", CHANGE)).status == 204
    assert (await ada.call("GET /")).status == 200
    for ended in (old, elsewhere):
        assert problem(await ended.call("GET /"))[0] == 401
    refused = await scene.client().call(f"POST {API}/sign-in", SIGN_IN)
    assert problem(refused) == (401, "wrong-credentials")
    await scene.client().sign_in("ada", NEW)
    entries = await scene.gateway.store.audit.latest("ada")
    assert "password-changed" in [entry.event for entry in entries]
    assert PASSWORD not in str(entries)


async def test_a_stolen_session_does_not_get_at_the_password(open_scene: OpenScene) -> None:
    async with open_scene(sign_in={"attempts_by_account": 2, "delay": 90}) as scene:
        ada = await scene.signed_in(factor=True)
        stolen = await scene.signed_in()
        assert problem(await stolen.call(f"PUT {API}/password", CHANGE)) == (401, "code-needed")
        bob = await scene.signed_in("bob")
        for _ in range(2):
            wrong = await bob.call(f"PUT {API}/password", {**CHANGE, "current": "guess"})
            assert problem(wrong) == (403, "wrong-password")
        refused = await bob.call(f"PUT {API}/password", CHANGE)
        assert problem(refused) == (429, "too-many-attempts")
        assert refused.header(b"retry-after") == [b"90"]
        entries = await scene.gateway.store.audit.latest("bob")
        assert [entry.reason for entry in entries if entry.event == "password-refused"] == [
            "wrong-password",
            "wrong-password",
        ]
        await scene.client().sign_in("bob")
        elsewhere = await scene.signed_in("bob")
        done = await elsewhere.call(f"PUT {API}/password", CHANGE)
        assert done.status == 204, "guesses on another device keep nobody from it"
        assert (await ada.call("GET /")).status == 200


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({**CHANGE, "new": "short"}, (422, "unfit-password")),
        ({**CHANGE, "new": PASSWORD}, (422, "unfit-password")),
        ({"new": NEW}, (400, "body-unreadable")),
        ({**CHANGE, "new": 12345678}, (400, "body-unreadable")),
    ],
)
async def test_what_cannot_be_the_new_password(scene: Scene, body: object, expected: tuple[int, str]) -> None:
    ada = await scene.signed_in()
    assert problem(await ada.call(f"PUT {API}/password", body)) == expected
    await scene.client().sign_in("ada")


@pytest.mark.parametrize(
    ("new", "said", "detail"),
    [
        ("short", "too short: it needs at least 8", "It needs at least 8 characters."),
        ("x" * 1025, "too long: it may have at most 1024", "It may have at most 1024 characters."),
        (PASSWORD, "the one that you have already", "It is the current one."),
        ("Ada.Lovelace", "which others know", "It is the account's name."),
    ],
)
async def test_it_is_said_what_is_wrong_with_a_new_password(
    scene: Scene, new: str, said: str, detail: str
) -> None:
    ada = await scene.signed_in("ada.lovelace")
    refused = await ada.call(f"PUT {API}/password", {**CHANGE, "new": new})
    assert refused.json["detail"] == detail
    page = await ada.visit("POST /.watchword/password", {**CHANGE, "new": new})
    assert (page.status, said in page.body.decode()) == (422, True)
