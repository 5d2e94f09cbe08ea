"""Cases 19 to 24 and 44: codes that count twice, proofs for something else, and ways back to elsewhere."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

import pytest
from support.gateway import PASSWORD, POLICY, Client, OpenScene, Scene
from support.raw_client import Answer

TRANSFER = {"amount": "10", "address": "bc1q"}
CODE_AT_SIGN_IN = POLICY.replace("Signing in, protect: by-choice", "Signing in, protect: always")


def reason(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["reason"]


async def transfer(client: Client, code: str | None = None, **changed: str) -> Answer:
    headers = {} if code is None else {"Watchword-Code": code}
    return await client.call("POST /api/transfers", {**TRANSFER, **changed}, headers=headers)


# --- 19 and 22: many at once


@pytest.mark.parametrize("door", ["one challenge", "ten challenges", "with the request"])
async def test_case_19_one_code_a_hundred_times_at_once(open_scene: OpenScene, door: str) -> None:
    async with open_scene(codes={"attempts": 1000}) as scene:
        ada = await scene.signed_in(factor=True)
        asked = [await transfer(ada) for _ in range(10 if door == "ten challenges" else 1)]
        code = ada.next_code()

        async def attempt(number: int) -> Answer:
            client = ada.with_cookies(session=ada.session)  # nobody gets the new cookie of who was first
            if door == "with the request":
                return await transfer(client, code)
            return await client.answer(asked[number % len(asked)], code)

        answers = await asyncio.gather(*(attempt(number) for number in range(100)))
        outcomes = Counter("ok" if answer.status == 200 else answer.json["reason"] for answer in answers)
        assert outcomes["ok"] == 1
        # code-needed: another one used up the grant that this one's code had brought
        assert outcomes.keys() <= {"ok", "used-code", "challenge-expired", "code-needed"}
        assert await scene.seen() == (["POST /api/transfers"] if door == "with the request" else [])


async def test_case_22_guesses_over_many_sessions(scene: Scene) -> None:
    """Every other one by challenge, every other one with its request; the limit is the account's."""
    ada = await scene.signed_in(factor=True)
    wrong = ada.wrong_code()
    sessions = [await scene.signed_in() for _ in range(10)]
    asked = [await transfer(session) for session in sessions]
    answers = []
    for session, challenge in zip(sessions, asked, strict=True):
        answers += [await transfer(session, wrong), await session.answer(challenge, wrong)]
    assert Counter(map(reason, answers)) == {(403, "wrong-code"): 5, (429, "too-many-attempts"): 15}
    assert reason(await transfer(sessions[0], ada.code(1))) == (429, "too-many-attempts")
    assert await scene.seen() == []
    assert (await transfer(ada, ada.code(1))).status == 200, "on her own device nobody keeps her waiting"
    scene.clock.advance(60)
    assert (await transfer(sessions[0], ada.code())).status == 200, "after the wait that was told"


# --- 20 and 21: codes that are none, or none any more


def _in_digits_from(zero: int) -> Callable[[str], str]:
    return lambda code: "".join(chr(zero + int(digit)) for digit in code)


ODD: dict[str, Callable[[str], str]] = {
    "full width": _in_digits_from(0xFF10),
    "superscript": lambda code: "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(digit)] for digit in code),
    "arabic": _in_digits_from(0x0660),
    "bold": _in_digits_from(0x1D7CE),
    "spaced": lambda code: f"{code[:3]} {code[3:]}",
    "seven digits": lambda code: f"{code}0",
    "five digits": lambda code: code[:5],
    "signed": lambda code: f"+{code[1:]}",
    "empty": lambda _: "",
}
ONLY_IN_BODIES: dict[str, Callable[[str], str]] = {
    "blank before": lambda code: f" {code}",
    "line break behind": lambda code: f"{code}\n",
    "no-break space": lambda code: f"{code}\xa0",
}


async def by_challenge(ada: Client, code: str) -> Answer:
    return await ada.answer(await transfer(ada), code)


async def by_set_up(ada: Client, code: str) -> Answer:
    factors = (await ada.call("GET /.watchword/api/me")).json["factors"]
    return await ada.call(f"POST /.watchword/api/factors/{factors[-1]['id']}/confirm", {"code": code})


@pytest.mark.parametrize(
    ("door", "odd"),
    [(door, odd) for door in (by_challenge, by_set_up) for odd in (*ODD, *ONLY_IN_BODIES)]
    + [(transfer, odd) for odd in ODD],
)
async def test_case_20_odd_codes_are_refused_and_counted(
    open_scene: OpenScene, door: Callable[[Client, str], Awaitable[Answer]], odd: str
) -> None:
    async with open_scene(codes={"attempts": 2}) as scene:
        ada = await scene.signed_in(factor=door is not by_set_up)
        if door is by_set_up:
            ada.setup_key = (await ada.call("POST /.watchword/api/factors", {"label": ""})).json["secret"]
        code = ada.next_code()
        for _ in range(2):
            assert reason(await door(ada, {**ODD, **ONLY_IN_BODIES}[odd](code))) == (422, "malformed-code")
        late = await door(ada, code)
        assert reason(late) == (429, "too-many-attempts")
        assert late.header(b"retry-after") == [b"30"]
        assert await scene.seen() == []


async def test_case_21_a_code_spent_at_set_up(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    assert reason(await by_challenge(ada, ada.code())) == (403, "used-code")
    assert reason(await transfer(ada, ada.code())) == (403, "used-code")
    assert reason(await transfer(ada, ada.code(-1))) == (403, "used-code"), "older ones go with it"
    assert (await transfer(ada, ada.next_code())).status == 200
    assert await scene.seen() == ["POST /api/transfers"]


async def test_case_21_a_code_spent_at_sign_in(open_scene: OpenScene) -> None:
    async with open_scene(policy=CODE_AT_SIGN_IN) as scene:
        at_set_up = await scene.signed_in(factor=True)
        ada = await scene.signed_in()
        ada.setup_key = at_set_up.setup_key
        asked = await ada.call("GET /mine")
        assert (asked.status, asked.json["action"]) == (401, "sign-in")
        assert (await ada.answer(asked)).status == 200
        assert (await ada.call("GET /mine")).status == 200
        assert reason(await by_challenge(ada, ada.code())) == (403, "used-code")
        assert reason(await transfer(ada, ada.code())) == (403, "used-code")
        assert await scene.seen() == ["GET /mine"]


# --- 23: a grant for something else


async def test_case_23_a_grant_for_another_action(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    await ada.answer(await ada.call("GET /password"))
    assert (await ada.call("GET /password")).status == 200
    assert reason(await transfer(ada)) == (401, "code-needed")
    assert reason(await ada.call("GET /profile")) == (401, "code-needed")
    assert await scene.seen() == ["GET /password"]


@pytest.mark.parametrize(("age", "status"), [(299, 200), (300, 401), (3000, 401)])
async def test_case_23_a_grant_past_its_age(scene: Scene, age: float, status: int) -> None:
    ada = await scene.signed_in(factor=True)
    await ada.answer(await ada.call("GET /password"))
    scene.clock.advance(age)
    assert (await ada.call("GET /password")).status == status
    assert len(await scene.seen()) == (status == 200)


async def test_case_23_a_grant_of_another_session(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    elsewhere = await scene.signed_in()
    await ada.answer(await ada.call("GET /password"))
    asked = await transfer(ada)
    await ada.answer(asked)
    assert reason(await elsewhere.call("GET /password")) == (401, "code-needed")
    assert reason(await transfer(elsewhere)) == (401, "code-needed")
    assert await scene.seen() == []


async def test_case_23_somebody_elses_challenge_does_not_exist(scene: Scene) -> None:
    ada, bob = await scene.signed_in(factor=True), await scene.signed_in("bob", factor=True)
    asked = await transfer(ada)
    for client in (bob, await scene.signed_in()):
        client.setup_key = client.setup_key or ada.setup_key
        assert reason(await client.call(f"GET {asked.json['answer']}")) == (410, "challenge-expired")
        assert reason(await client.answer(asked)) == (410, "challenge-expired")
    assert (await ada.answer(asked)).status == 200


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ("POST /api/transfers", {"amount": "1000"}),
        ("POST /api/transfers", {"note": ""}),
        ("POST /api/transfers?", {}),
        ("POST /api/transfers?a=b", {}),
        ("POST /api/transfers/", {}),
        ("POST /withdrawals", {}),
    ],
)
async def test_case_23_a_grant_for_another_request(scene: Scene, line: str, changed: dict[str, str]) -> None:
    ada = await scene.signed_in(factor=True)
    await ada.answer(await transfer(ada))
    assert reason(await ada.call(line, {**TRANSFER, **changed})) == (401, "code-needed")
    assert await scene.seen() == []
    assert (await transfer(ada)).status == 200, "the request that was approved"
    assert reason(await transfer(ada)) == (401, "code-needed"), "once"
    assert await scene.seen() == ["POST /api/transfers"]


# --- 24: ways back to elsewhere

ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/%09/evil.example",
    "/\t/evil.example",
    "/%5cevil.example",
    "https:evil.example",
    "https://evil.example/",
    "http://localhost@evil.example",
    "good@evil.example",
    "good.evil.example",
    "javascript:alert(1)",
    "/x\r\nSet-Cookie: a=b",
    "/.watchword/sign-out",
    "/./.watchword/sign-out",
    "",
]


@pytest.mark.parametrize("return_to", ELSEWHERE)
async def test_case_24_ways_back_to_elsewhere(scene: Scene, return_to: str) -> None:
    await scene.signed_in()
    client = scene.client()
    shown = await client.visit(f"GET /.watchword/sign-in?{urlencode({'return_to': return_to})}")
    assert (shown.status, b"evil" in shown.body) == (200, False)
    form = {"subject": "ada", "password": PASSWORD, "return_to": return_to}
    answer = await client.visit("POST /.watchword/sign-in", form)
    assert (answer.status, answer.header(b"location")) == (303, [b"/"])


@pytest.mark.parametrize("return_to", ["/orders/7?x=//evil.example", "/%7Ea", "/good@evil.example"])
async def test_case_24_ways_back_to_the_app(scene: Scene, return_to: str) -> None:
    await scene.signed_in()
    form = {"subject": "ada", "password": PASSWORD, "return_to": return_to}
    answer = await scene.client().visit("POST /.watchword/sign-in", form)
    assert answer.header(b"location") == [return_to.replace("%7E", "~").encode()]


@pytest.mark.parametrize("return_to", ELSEWHERE)
async def test_case_24_waiting_leads_nowhere_else(open_scene: OpenScene, return_to: str) -> None:
    """Somebody who waits for nothing is sent on at once."""
    async with open_scene() as scene:
        page = f"GET /.watchword/waiting?{urlencode({'return_to': return_to})}"
        assert (await (await scene.signed_in()).visit(page)).header(b"location") == [b"/"]
        assert (await scene.client().visit(page)).header(b"location") == [b"/.watchword/sign-in?return_to=/"]


# --- 44: switching the factor off


async def test_case_44_a_factor_removed_without_a_code(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    (factor,) = (await ada.call("GET /.watchword/api/me")).json["factors"]
    page = f"/.watchword/security/factors/{factor['id']}/remove"
    assert reason(await ada.call(f"DELETE /.watchword/api/factors/{factor['id']}")) == (401, "code-needed")
    for form in ({}, {"code": ""}, {"code": ada.wrong_code()}, {"code": ada.code()}):
        assert (await ada.visit(f"POST {page}", form)).status in (403, 422)
    (left,) = (await ada.call("GET /.watchword/api/me")).json["factors"]
    assert left["id"] == factor["id"]


async def test_case_44_a_code_for_one_factor_removes_no_other(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    (first,) = (await ada.call("GET /.watchword/api/me")).json["factors"]
    begun = await ada.call(
        "POST /.watchword/api/factors", {"label": "2"}, headers={"Watchword-Code": ada.next_code()}
    )
    await ada.answer(await ada.call(f"DELETE /.watchword/api/factors/{begun.json['id']}"))
    refused = await ada.call(f"DELETE /.watchword/api/factors/{first['id']}")
    assert reason(refused) == (401, "code-needed")
    assert (await ada.call(f"DELETE /.watchword/api/factors/{begun.json['id']}")).status == 204
