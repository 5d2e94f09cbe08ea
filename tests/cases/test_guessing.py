"""Cases 19 and 22 at full size: gateways in four processes, and guesses by the thousand.

A guesser who waits as told is locked out after hours; there, time is moved by hand.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis
from support.gateway import PASSWORD, Client, OpenScene, Scene
from support.own_process import OwnProcess, own_processes
from support.raw_client import Answer
from support.recording import Recorder
from support.store import LIMITS, signed_in
from support.upstreams import serving

from gateway import clock
from gateway.admin.tokens import Scope, issue_token
from gateway.store.opening import StoreOptions, open_store
from gateway.store.ring_file import load

TRANSFER = {"amount": "10", "address": "bc1q"}
ONLY_ONE_STEP = "codes: {attempts: 1000}"
NO_SECOND_CHANCE = "codes: {delay: 1h, longest-delay: 1h}"
GUESSES, SESSIONS = 1000, 50


@asynccontextmanager
async def four_gateways(
    folder: Path, store: str, settings: str, *accounts: str
) -> AsyncIterator[tuple[list[OwnProcess], Recorder]]:
    app = Recorder()
    async with (
        serving(app) as behind,
        own_processes(folder, behind.address, store, accounts=accounts, settings=settings) as gateways,
    ):
        yield gateways, app


async def at_once(work: Iterable[Awaitable[Answer]], most: int = 100) -> list[Answer]:
    """All of it, at most so many at a time: each is a connection of its own."""
    room = asyncio.Semaphore(most)

    async def one(awaitable: Awaitable[Answer]) -> Answer:
        async with room:
            return await awaitable

    return await asyncio.gather(*map(one, work))


def through(gateway: OwnProcess, person: Client) -> Client:
    """The same browser, at another process."""
    client = gateway.client()
    client.cookies = dict(person.cookies)
    client.setup_key = person.setup_key
    return client


async def session_cookies(folder: Path, store: str, number: int) -> list[str]:
    """Sessions of ada's on browsers of their own; signing in so often would be most of the work."""
    options = StoreOptions(url=store, data_dir=folder, shards=1, timeout=20.0)
    opened, _ = await open_store(options, load(folder / "data" / "keys.json"), LIMITS)
    try:
        started = [await signed_in(opened, browser=f"{n}", now=clock.now()) for n in range(number)]
        return [session.cookie for session in started]
    finally:
        await opened.close()


async def transfer(client: Client, code: str | None = None) -> Answer:
    headers = {} if code is None else {"Watchword-Code": code}
    return await client.call("POST /api/transfers", TRANSFER, headers=headers)


def outcomes(answers: Iterable[Answer]) -> Counter[str]:
    return Counter("ok" if answer.status == 200 else answer.json["reason"] for answer in answers)


async def test_case_19_one_code_a_hundred_times_at_once_through_four_processes(
    tmp_path: Path, valkey: Redis, valkey_url: str
) -> None:
    async with four_gateways(tmp_path, valkey_url, ONLY_ONE_STEP, "ada", "bob") as (gateways, app):
        ada, bob = gateways[0].client(), gateways[0].client()
        for client, subject in ((ada, "ada"), (bob, "bob")):
            await client.sign_in(subject)
            await client.enrol()
        code = ada.code(1)
        with_it = await at_once(transfer(through(gateways[n % 4], ada), code) for n in range(100))
        challenges = [await transfer(bob) for _ in range(10)]
        code = bob.code(1)
        answering = await at_once(
            through(gateways[n % 4], bob).answer(challenges[n % 10], code) for n in range(100)
        )
    assert outcomes(with_it)["ok"] == outcomes(answering)["ok"] == 1
    # code-needed: another one used up the grant that this one's code had brought
    assert outcomes(with_it).keys() <= {"ok", "used-code", "code-needed"}
    assert outcomes(answering).keys() <= {"ok", "used-code", "challenge-expired"}
    assert [line for line in app.lines if "transfers" in line] == ["POST /api/transfers"]


async def by_challenge(client: Client, challenge: Answer, factor: str, guess: str) -> Answer:
    return await client.answer(challenge, guess)


async def by_page(client: Client, challenge: Answer, factor: str, guess: str) -> Answer:
    return await client.visit(f"POST {challenge.json['step_up']}", {"code": guess})


async def by_header(client: Client, challenge: Answer, factor: str, guess: str) -> Answer:
    return await transfer(client, guess)


async def by_removal(client: Client, challenge: Answer, factor: str, guess: str) -> Answer:
    return await client.visit(f"POST /.watchword/security/factors/{factor}/remove", {"code": guess})


async def by_removal_call(client: Client, challenge: Answer, factor: str, guess: str) -> Answer:
    return await client.call(f"DELETE /.watchword/api/factors/{factor}", headers={"Watchword-Code": guess})


DOORS: list[Callable[[Client, Answer, str, str], Awaitable[Answer]]] = [
    by_challenge,
    by_page,
    by_header,
    by_removal,
    by_removal_call,
]


async def test_case_22_a_thousand_guesses_over_fifty_sessions_and_four_processes(
    tmp_path: Path, valkey: Redis, valkey_url: str
) -> None:
    async with four_gateways(tmp_path, valkey_url, NO_SECOND_CHANCE, "ada") as (gateways, app):
        ada = gateways[0].client()
        await ada.sign_in("ada")
        await ada.enrol()
        (factor,) = (await ada.call("GET /.watchword/api/me")).json["factors"]
        near = {ada.code(steps) for steps in range(-30, 60)}
        guesses = [guess for guess in map("{:06}".format, range(GUESSES + 100)) if guess not in near][
            :GUESSES
        ]
        cookies = await session_cookies(tmp_path, valkey_url, SESSIONS - 1)
        sessions = [ada, *(ada.with_cookies(session=cookie) for cookie in cookies)]
        challenges = await at_once(transfer(session) for session in sessions)

        answers = await at_once(
            DOORS[n % len(DOORS)](
                through(gateways[n % 4], sessions[n % SESSIONS]),
                challenges[n % SESSIONS],
                factor["id"],
                guess,
            )
            for n, guess in enumerate(guesses)
        )
        # Five on the device on which she gave codes before, whoever guesses there; on all others together
        # five, less those of hers that came first.
        judged = Counter(answer.status for answer in answers)
        assert judged.keys() == {403, 429}
        assert 5 <= judged[403] <= 10
        late = await at_once(transfer(through(gateway, ada), ada.code(1)) for gateway in gateways)
        assert outcomes(late) == {"too-many-attempts": 4}, "nor does the right one count now"
        assert app.lines == []
        lives = await at_once(session.call("GET /mine") for session in sessions)
        assert outcomes(lives) == {"ok": SESSIONS}, "and all are signed in as before"


PATIENT = {"sessions": {"idle": "30d", "absolute": "30d"}, "codes": {"lock": 20}}


async def guessed_until_locked(scene: Scene, sessions: list[Client]) -> Answer:
    """The last answer to somebody who waits as told, and tries another session and door each time."""
    checked: Counter[str] = Counter()
    factor = (await sessions[0].call("GET /.watchword/api/me")).json["factors"][0]["id"]
    for turn in range(200):
        session = sessions[turn % len(sessions)]
        door = (by_challenge, by_header, by_removal_call)[turn % 3]
        answer = await door(session, await transfer(session), factor, sessions[0].wrong_code())
        reason = answer.json["reason"]
        checked[reason] += 1
        if reason == "codes-locked":
            break
        scene.clock.advance(int((answer.header(b"retry-after") or [b"1"])[0]))
    assert checked["wrong-code"] == 19, "the twentieth is told that it was the last"
    assert answer.status == 403
    return answer


async def test_case_22_who_waits_as_told_gets_no_further_than_the_lock(open_scene: OpenScene) -> None:
    async with open_scene(**PATIENT) as scene:
        ada = await scene.signed_in(factor=True)
        sessions = [ada, *[await scene.signed_in() for _ in range(6)]]
        locked = await guessed_until_locked(scene, sessions)
        assert "support" in locked.json["detail"]
        scene.clock.advance(86_400)
        factor = (await ada.call("GET /.watchword/api/me")).json["factors"][0]["id"]
        for door in DOORS:
            assert (await door(ada, await transfer(ada), factor, ada.code())).status == 403
            scene.clock.advance(1)  # of the challenges of one moment, the newest may be the one to give way
        page = await ada.visit(f"POST {(await transfer(ada)).json['step_up']}", {"code": ada.code()})
        assert b"ask support to unlock" in page.body
        assert [(await session.call("GET /mine")).status for session in sessions] == [200] * 7
        events = [entry.event for entry in await scene.gateway.store.audit.latest("ada", 1000)]
        assert events.count("codes-locked") == 1


async def test_support_lifts_the_lock(open_scene: OpenScene) -> None:
    async with open_scene(**PATIENT) as scene:
        ada = await scene.signed_in(factor=True)
        await guessed_until_locked(scene, [ada])
        token = issue_token(scene.gateway.ring, "grace", frozenset({Scope.RESET}), 3600, scene.clock.now)
        operator = Client(scene.gateway.admin_port, scene.clock, "localhost")
        unlocked = await operator.call(
            "POST /v1/accounts/ada/unlock-codes",
            {"reason": "called back"},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert (unlocked.status, unlocked.json["codes_locked"]) == (200, False)
        assert (await transfer(ada, ada.next_code())).status == 200
        assert await scene.seen() == ["POST /api/transfers"]


async def test_strangers_at_the_password_lock_nobody_out_of_a_session(open_scene: OpenScene) -> None:
    async with open_scene(sign_in={"attempts_by_address": 10_000}) as scene:
        ada = await scene.signed_in(factor=True)
        guess = {"subject": "ada", "password": "guess"}
        for _ in range(100):
            await scene.client().call("POST /.watchword/api/sign-in", guess)
            scene.clock.advance(7)
        stranger = await scene.client().call(
            "POST /.watchword/api/sign-in", {"subject": "ada", "password": PASSWORD}
        )
        assert (stranger.status, stranger.json["reason"]) == (429, "too-many-attempts")
        assert (await ada.call("GET /mine")).status == 200
        assert (await transfer(ada, ada.next_code())).status == 200
        at_home = ada.with_cookies(device=ada.cookies["ww-device"])
        await at_home.sign_in("ada")
        assert (await at_home.call("GET /mine")).status == 200
