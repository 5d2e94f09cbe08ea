"""Case 44 and what a thief would do with a password and one recovery code."""

import asyncio
from collections import Counter

import pytest
from support.gateway import PASSWORD, POLICY, Client, OpenScene, Scene
from support.raw_client import Answer

API = "/.watchword/api"
WAITING = 3 * 86_400
TRANSFER = {"amount": 10, "address": "bc1q"}
LONG = {"sessions": {"idle": 6 * 86_400, "absolute": 7 * 86_400}}
"""Sessions that outlive the waiting period, so that what was begun before it is over can be tried after."""


def reason(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["reason"]


async def transfer(client: Client, amount: object = 10) -> Answer:
    return await client.call("POST /api/transfers", {**TRANSFER, "amount": amount})


async def factors(client: Client) -> dict[str, str]:
    """Ids by label."""
    return {f["label"]: f["id"] for f in (await client.call(f"GET {API}/me")).json["factors"]}


async def new_factor(client: Client, label: str = "Mine") -> str:
    """Set up a factor once the challenge for that is answered; its id. The client has its key then."""
    begun = await client.call(f"POST {API}/factors", {"label": label})
    assert begun.status == 201, begun
    client.setup_key = begun.json["secret"]
    line = f"POST {API}/factors/{begun.json['id']}/confirm"
    confirmed = await client.call(line, {"code": client.code()})
    assert confirmed.status == 200, confirmed
    assert "recovery_codes" not in confirmed.json
    return str(begun.json["id"])


async def thief_in(scene: Scene, ada: Client) -> Client:
    """Somebody who knows ada's password and one of her recovery codes, and has set up a factor with it."""
    thief = await scene.signed_in()
    asked = await thief.call(f"POST {API}/factors", {"label": "Mine"})
    assert (await thief.recover(asked, ada.recovery_codes.pop())).status == 200
    await new_factor(thief)
    return thief


# --- 44: twice


async def test_case_44_a_recovery_code_twice(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    code = ada.recovery_codes[0]
    answered = await ada.recover(await transfer(ada), code)
    assert (answered.status, answered.json["recovery_codes_left"]) == (200, 9)
    assert (await transfer(ada)).status == 200
    assert reason(await ada.recover(await transfer(ada), code)) == (403, "wrong-recovery-code")
    elsewhere = await scene.signed_in()
    assert reason(await elsewhere.recover(await transfer(elsewhere), code)) == (403, "wrong-recovery-code")
    assert await scene.seen() == ["POST /api/transfers"]


async def test_case_44_one_recovery_code_many_times_at_once(open_scene: OpenScene) -> None:
    async with open_scene(codes={"attempts": 1000, "lock": 100}) as scene:
        ada = await scene.signed_in(factor=True)
        asked = [await transfer(ada) for _ in range(5)]
        code = ada.recovery_codes[0]
        clients = [ada.with_cookies(session=ada.session) for _ in range(40)]
        answers = await asyncio.gather(
            *(client.recover(asked[number % 5], code) for number, client in enumerate(clients))
        )
        outcomes = Counter("ok" if a.status == 200 else a.json["reason"] for a in answers)
        assert outcomes["ok"] == 1
        assert outcomes.keys() <= {"ok", "wrong-recovery-code", "challenge-expired"}


async def test_case_22_guesses_at_recovery_codes_over_many_sessions(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    answers = []
    for number in range(10):
        session = await scene.signed_in()
        answers.append(await session.recover(await transfer(session), f"0000-0000-0000-000{number}"))
    assert Counter(map(reason, answers)) == {
        (403, "wrong-recovery-code"): 5,
        (429, "too-many-attempts"): 5,
    }
    late = await session.recover(await transfer(session), ada.recovery_codes[0])
    assert reason(late) == (429, "too-many-attempts")
    assert (await ada.answer(await transfer(ada))).status == 200, "codes have a counter of their own"
    assert (await ada.recover(await transfer(ada, 11))).status == 200, "and so has her own device"


# --- what a recovery code does, and what it does not


async def test_a_recovery_code_is_no_code_of_the_header(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    code = ada.recovery_codes[0]
    for given in (code, code.replace("-", "")):
        answer = await ada.call("POST /api/transfers", TRANSFER, headers={"Watchword-Code": given})
        assert reason(answer) == (422, "malformed-code")
    assert (await ada.call(f"GET {API}/me")).json["recovery_codes_left"] == 10
    assert await scene.seen() == []


@pytest.mark.parametrize("door", ["remove", "protection", "renew", "password", "profile"])
async def test_a_recovery_code_takes_no_protection_away(scene: Scene, door: str) -> None:
    ada = await scene.signed_in(factor=True)
    (phone,) = (await factors(ada)).values()
    line, body = {
        "remove": (f"DELETE {API}/factors/{phone}", None),
        "protection": (
            f"PUT {API}/protection",
            {"app": "exchange", "action": "manage-profile", "on": False},
        ),
        "renew": (f"POST {API}/recovery-codes", None),
        "password": (f"PUT {API}/password", {"current": PASSWORD, "new": "the thief's own"}),
        "profile": (f"PUT {API}/profile", {"email": "thief@example.net"}),
    }[door]
    asked = await ada.call(line, body)
    assert reason(asked) == (401, "code-needed")
    code = ada.recovery_codes[0]
    refused = await ada.recover(asked, code)
    assert reason(refused) == (403, "recovery-not-enough")
    assert "Set up a new authenticator app" in refused.json["detail"]
    assert reason(await ada.call(line, body)) == (401, "code-needed")
    assert (await ada.call(f"GET {API}/me")).json["recovery_codes_left"] == 10, "it was not spent"
    assert (await ada.recover(await transfer(ada), code)).status == 200


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("GET /profile", None),
        ("GET /password", None),
        ("POST /api/transfers", TRANSFER),
        (f"POST {API}/factors", {"label": "Mine"}),
    ],
)
async def test_a_recovery_code_stands_in_for_a_code_elsewhere(scene: Scene, line: str, body: object) -> None:
    ada = await scene.signed_in(factor=True)
    asked = await ada.call(line, body)
    assert reason(asked) == (401, "code-needed")
    assert (await ada.recover(asked)).status == 200
    assert (await ada.call(line, body)).status != 401


async def test_a_recovery_code_stands_in_at_sign_in(open_scene: OpenScene) -> None:
    policy = POLICY.replace("Signing in, protect: by-choice", "Signing in, protect: always")
    async with open_scene(policy=policy) as scene:
        owner = await scene.signed_in(factor=True)
        ada = await scene.signed_in()
        assert (await ada.recover(await ada.call("GET /mine"), owner.recovery_codes[0])).status == 200
        assert (await ada.call("GET /mine")).status == 200


# --- the thief


async def test_a_thief_with_a_password_and_a_recovery_code_cannot_lower_anything(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    thief = await thief_in(scene, ada)
    theirs = await factors(thief)
    attempts = [
        (f"DELETE {API}/factors/{theirs['Phone']}", None),
        (f"DELETE {API}/factors/{theirs['Mine']}", None),
        (f"PUT {API}/protection", {"app": "exchange", "action": "manage-profile", "on": False}),
        (f"POST {API}/recovery-codes", None),
        (f"PUT {API}/password", {"current": PASSWORD, "new": "the thief's own"}),
        (f"PUT {API}/profile", {"email": "thief@example.net"}),
    ]
    for line, body in attempts:
        # by the header, and by the challenge
        along = await thief.call(line, body, headers={"Watchword-Code": thief.next_code()})
        assert reason(along) == (403, "factor-on-trial"), line
        assert 0 < along.json["full_in"] <= WAITING
        asked = await thief.call(line, body)
        assert reason(await thief.answer(asked, thief.code())) == (403, "factor-on-trial"), line
        assert reason(await thief.call(line, body)) == (401, "code-needed"), line
        assert (await thief.answer(await transfer(thief, line))).status == 200, "for all else it serves"
    page = f"POST /.watchword/security/factors/{theirs['Phone']}/remove"
    answer = await thief.visit(page, {"code": thief.next_code()})
    assert answer.status == 403
    assert b"cannot take protection away yet" in answer.body
    assert (await factors(ada)).keys() == {"Phone", "Mine"}


async def test_the_codes_of_a_factor_on_trial_clear_no_guesses_at_another(open_scene: OpenScene) -> None:
    """Or a thief would try codes of the owner's factor, and clear the counter with one of their own."""
    async with open_scene(codes={"attempts": 4, "lock": 20, "longest_delay": 60}) as scene:
        ada = await scene.signed_in(factor=True)
        thief = await thief_in(scene, ada)
        line = f"DELETE {API}/factors/{(await factors(thief))['Phone']}"
        judged = 0
        for number in range(60):
            guess = await thief.call(line, headers={"Watchword-Code": ada.wrong_code()})
            judged += reason(guess) == (403, "wrong-code")
            scene.clock.advance(guess.json.get("retry_after", 0))
            if guess.json["reason"] == "codes-locked":
                break
            used = await transfer(thief, number)
            if used.json.get("reason") == "code-needed":
                await thief.answer(used)
        assert judged <= 20
        assert reason(await thief.call(line, headers={"Watchword-Code": ada.wrong_code()})) == (
            403,
            "codes-locked",
        )


async def test_the_codes_of_a_factor_on_trial_shorten_no_wait_elsewhere(open_scene: OpenScene) -> None:
    """On a device of its own pace, they would let the next guess on another one come at once."""
    async with open_scene(codes={"attempts": 2, "delay": 600}) as scene:
        ada = await scene.signed_in(factor=True)
        thief = await thief_in(scene, ada)
        elsewhere = await scene.signed_in()
        for _ in range(2):
            await transfer_with(elsewhere, ada.wrong_code())
        assert reason(await transfer_with(elsewhere, ada.wrong_code())) == (429, "too-many-attempts")
        assert (await thief.answer(await transfer(thief))).status == 200
        guess = await transfer_with(elsewhere, ada.wrong_code())
        assert reason(guess) == (429, "too-many-attempts")
        assert guess.json["retry_after"] > 500


async def transfer_with(client: Client, code: str) -> Answer:
    return await client.call("POST /api/transfers", TRANSFER, headers={"Watchword-Code": code})


async def test_a_right_code_of_a_factor_on_trial_is_no_failure(open_scene: OpenScene) -> None:
    async with open_scene(codes={"attempts": 2, "lock": 5}) as scene:
        ada = await scene.signed_in(factor=True)
        thief = await thief_in(scene, ada)
        for number in range(12):
            assert (await thief.answer(await transfer(thief, number))).status == 200


async def test_the_owner_removes_the_factor_of_the_thief_at_once(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    thief = await thief_in(scene, ada)
    line = f"DELETE {API}/factors/{(await factors(ada))['Mine']}"
    assert (await ada.answer(await ada.call(line))).status == 200
    assert (await ada.call(line)).status == 204
    assert reason(await thief.answer(await transfer(thief))) == (403, "wrong-code")


async def test_trial_is_inherited_down_a_chain_of_factors(open_scene: OpenScene) -> None:
    async with open_scene(**LONG) as scene:
        ada = await scene.signed_in(factor=True)
        began = scene.clock.now
        thief = await thief_in(scene, ada)
        scene.clock.advance(WAITING - 3600)
        thief = await again(scene, thief)
        asked = await thief.call(f"POST {API}/factors", {"label": "Second"})
        assert (await thief.answer(asked)).status == 200
        await new_factor(thief, "Second")
        full_at = {f["label"]: f["full_at"] for f in (await thief.call(f"GET {API}/me")).json["factors"]}
        assert full_at["Mine"] == full_at["Second"] != full_at["Phone"] is None
        line = f"DELETE {API}/factors/{(await factors(thief))['Phone']}"
        refused = await thief.answer(await thief.call(line))
        assert reason(refused) == (403, "factor-on-trial")
        scene.clock.advance(began + WAITING - scene.clock.now)
        thief = await again(scene, thief)
        assert (await thief.answer(await thief.call(line))).status == 200, "then the wait is over"
        assert (await thief.call(line)).status == 204


async def again(scene: Scene, client: Client) -> Client:
    """The same person, signed in anew, with the same authenticator."""
    newer = await scene.signed_in()
    newer.setup_key = client.setup_key
    return newer


async def test_a_factor_that_was_begun_with_a_recovery_code_and_confirmed_late_is_on_trial(
    scene: Scene,
) -> None:
    ada = await scene.signed_in(factor=True)
    thief = await scene.signed_in()
    asked = await thief.call(f"POST {API}/factors", {"label": "Mine"})
    assert (await thief.recover(asked, ada.recovery_codes[0])).status == 200
    began = await thief.call(f"POST {API}/factors", {"label": "Mine"})
    scene.clock.advance(3000)
    await thief.call(f"GET {API}/me")
    thief.setup_key = began.json["secret"]
    line = f"POST {API}/factors/{began.json['id']}/confirm"
    assert (await thief.call(line, {"code": thief.code()})).status == 200
    asked = await thief.call(f"POST {API}/recovery-codes")
    assert reason(await thief.answer(asked)) == (403, "factor-on-trial")


async def test_grants_from_before_count_for_what_they_were_given_for_only(scene: Scene) -> None:
    """Proof by a factor on trial, kept in the session, is turned into nothing that lowers."""
    ada = await scene.signed_in(factor=True)
    thief = await thief_in(scene, ada)
    for line in ("GET /password", "GET /profile"):
        assert (await thief.answer(await thief.call(line))).status == 200
    for line in (f"DELETE {API}/factors/{(await factors(ada))['Phone']}", f"POST {API}/recovery-codes"):
        assert reason(await thief.call(line)) == (401, "code-needed")


async def test_new_recovery_codes_void_the_one_that_was_stolen(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    stolen = ada.recovery_codes[0]
    line = f"POST {API}/recovery-codes"
    assert (await ada.answer(await ada.call(line))).status == 200
    made = await ada.call(line)
    assert (made.status, made.header(b"cache-control")) == (200, [b"no-store"])
    assert len(set(made.json["recovery_codes"])) == 10
    assert reason(await ada.call(line)) == (401, "code-needed"), "each time anew"
    assert reason(await ada.recover(await transfer(ada), stolen)) == (403, "wrong-recovery-code")
    assert (await ada.recover(await transfer(ada), made.json["recovery_codes"][0])).status == 200


async def test_no_choice_lets_anybody_add_a_factor_without_a_code(scene: Scene) -> None:
    """Not even one that got into the store: the policy leaves no switch there."""
    ada = await scene.signed_in(factor=True)
    session = (await ada.call(f"GET {API}/me")).json["session"]
    assert await scene.gateway.store.choices.choose(session, "account/add-factor", scene.clock.now, on=False)
    thief = await scene.signed_in()
    assert reason(await thief.call(f"POST {API}/factors", {"label": "Mine"})) == (401, "code-needed")


# --- the same secret in another app


async def test_f5_f7_one_key_in_two_apps_simply_works(scene: Scene) -> None:
    """A phone with the restored key, or a second one. What one of them has shown and spent, the other shows
    as well: that is said, with the time to wait.
    """
    first = await scene.signed_in(factor=True)
    second = await scene.signed_in()
    second.setup_key = first.setup_key
    for amount, (phone, other) in enumerate(((second, first), (first, second), (second, first))):
        scene.clock.advance(30)
        assert phone.code() == other.code()
        assert (await phone.answer(await transfer(phone, amount), phone.code())).status == 200
        refused = await other.answer(await transfer(other, amount), other.code())
        assert reason(refused) == (403, "used-code")
        assert refused.json["next_code_in"] == 30 - int(scene.clock.now) % 30
