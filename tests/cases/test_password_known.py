"""What somebody does who knows the password and nothing else, or holds a browser that was thrown out."""

import asyncio

import pytest
from support.gateway import POLICY, Client, OpenScene, Scene
from support.raw_client import Answer

from gateway.identity.passwords import Passwords
from gateway.store.sessions import MOST_DEVICES, MOST_SESSIONS

API = "/.watchword/api"
ASKED_AT_SIGN_IN = POLICY.replace("Signing in, protect: by-choice", "Signing in, protect: always")


async def own_device(client: Client) -> str:
    return str((await client.call(f"GET {API}/me")).json["device"])


async def let_in(client: Client, setup_key: str) -> None:
    """Pass the code that signing in asks for."""
    client.setup_key = setup_key
    assert (await client.answer(await client.call("GET /"))).status == 200


def refusal(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["reason"]


async def test_what_was_thrown_out_stays_out_however_often_one_signs_in(open_scene: OpenScene) -> None:
    async with open_scene(policy=ASKED_AT_SIGN_IN) as scene:
        ada = await scene.signed_in(factor=True)
        stolen = await scene.signed_in()
        await let_in(stolen, ada.setup_key)
        assert (await stolen.call("GET /")).status == 200
        device = await own_device(stolen)
        kept = dict(stolen.cookies)
        assert (await ada.call(f"DELETE {API}/devices/{device}")).status == 200
        assert refusal(await stolen.call("GET /")) == (401, "device-revoked")

        for _ in range(MOST_DEVICES + 10):  # more than are kept: the one that was revoked is forgotten
            stranger = scene.client()
            await stranger.sign_in("ada")
            assert (await stranger.call(f"POST {API}/sign-out")).status == 204  # so that its session stays
        again = scene.client()
        again.cookies = {"ww-device": kept["ww-device"]}
        await again.sign_in("ada")
        assert await own_device_of(scene, again) == device, "which comes back as another one of that name"
        assert refusal(await scene_client(scene, kept).call("GET /")) == (401, "device-revoked")


def scene_client(scene: Scene, cookies: dict[str, str]) -> Client:
    client = scene.client()
    client.cookies = dict(cookies)
    return client


async def own_device_of(scene: Scene, client: Client) -> str:
    """Whatever the person still has to do before being let in, the store knows."""
    store = scene.gateway.store
    snapshot = await store.who.ask(client.session, scene.clock.now)
    assert snapshot is not None
    return snapshot.session.device_id


@pytest.mark.parametrize(
    ("times", "signs_out"),
    [(MOST_SESSIONS + 5, False), (MOST_DEVICES + 5, True)],
    ids=["sessions", "devices"],
)
async def test_signing_in_with_the_password_alone_ends_no_session_that_gave_a_code(
    open_scene: OpenScene, times: int, signs_out: bool
) -> None:
    async with open_scene(policy=ASKED_AT_SIGN_IN) as scene:
        ada = await scene.signed_in(factor=True)
        for _ in range(times):
            scene.clock.advance(1)
            stranger = scene.client()
            await stranger.sign_in("ada")
            if signs_out:
                assert (await stranger.call(f"POST {API}/sign-out")).status == 204
        assert (await ada.call("GET /")).status == 200


async def test_no_recovery_codes_before_there_is_a_factor(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hashing them takes a while, in which the owner sets up the first factor and gets codes."""
    ada, stranger = await scene.signed_in(), await scene.signed_in()
    hashing, go_on, digest = asyncio.Event(), asyncio.Event(), Passwords.digest

    async def held_up(self: Passwords, secret: str, *, salt: bytes) -> str:
        if not hashing.is_set():
            hashing.set()
            await go_on.wait()
        return await digest(self, secret, salt=salt)

    monkeypatch.setattr(Passwords, "digest", held_up)
    asked = asyncio.create_task(stranger.call(f"POST {API}/recovery-codes"))
    await asyncio.wait({asked, asyncio.create_task(hashing.wait())}, return_when="FIRST_COMPLETED")
    hashing.set()
    await ada.enrol()
    go_on.set()
    assert refusal(await asked) == (401, "factor-missing")
    asked_ada = await ada.call("GET /orders/1")
    assert (await ada.recover(asked_ada)).status == 200, "her own codes count"


async def test_a_factor_that_another_session_began_is_not_given_up_without_a_code(scene: Scene) -> None:
    ada, stranger = await scene.signed_in(), await scene.signed_in()
    begun = (await ada.call(f"POST {API}/factors", {"label": "Phone"})).json
    assert (await stranger.call(f"DELETE {API}/factors/{begun['id']}")).status == 404
    ada.setup_key = begun["secret"]
    confirmed = await ada.call(f"POST {API}/factors/{begun['id']}/confirm", {"code": ada.code()})
    assert confirmed.status == 200


async def test_whoever_knows_the_password_can_fill_only_so_much_of_the_store(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    redis = scene.gateway.store.sessions._connection.redis
    form = {"amount": "1", "address": "x", "pad": "A" * 500_000}
    for _ in range(10):
        stranger = await scene.signed_in()
        for _ in range(5):
            scene.clock.advance(1)
            assert (await stranger.visit("POST /withdrawals", form)).status in (303, 401)
    kept = [key async for key in redis.scan_iter("*:challenge:*") if await redis.hexists(key, "parked")]
    assert len(kept) == 20
    for client in (stranger, ada):
        assert (await client.call(f"POST {API}/sign-out")).status == 204
    left = [key async for key in redis.scan_iter("*:challenge:*") if await redis.hexists(key, "parked")]
    assert len(left) == 15, "what waited for a session went with it"


async def test_a_session_that_ends_soon_hides_nothing_of_what_is_kept(scene: Scene) -> None:
    """The index of what is parked lasts as long as the last of it, or it could be filled anew and anew."""
    form = {"amount": "1", "address": "x"}
    await scene.signed_in(factor=True)
    ends_soon = await scene.signed_in()
    absolute = scene.gateway.settings.sessions.absolute
    while absolute - 100 > scene.gateway.settings.sessions.idle:  # used until just before its end
        scene.clock.advance(scene.gateway.settings.sessions.idle / 2)
        absolute -= scene.gateway.settings.sessions.idle / 2
        assert (await ends_soon.call("GET /")).status == 200
    scene.clock.advance(absolute - 10)
    assert (await (await scene.signed_in()).visit("POST /withdrawals", form)).status == 303
    redis = scene.gateway.store.sessions._connection.redis
    before = await redis.pttl("ww:{s00}:parked:ada")
    assert (await ends_soon.visit("POST /withdrawals", form)).status == 303
    assert await redis.pttl("ww:{s00}:parked:ada") > before - 60_000


async def test_who_guesses_keeps_the_owner_waiting_neither_for_codes_nor_for_recovery_codes(
    scene: Scene,
) -> None:
    ada, stranger = await scene.signed_in(factor=True), await scene.signed_in()
    for _ in range(30):
        for guess in ({"code": ada.wrong_code()}, {"recovery_code": "0000-0000-0000-0000"}):
            asked = await stranger.call("GET /orders/1")
            await stranger.call(f"POST {asked.json['answer']}", guess)
        scene.clock.advance(60)
    assert (await ada.answer(await ada.call("GET /orders/1"))).status == 200
    assert (await ada.recover(await ada.call("GET /orders/2"))).status == 200


async def test_what_was_not_looked_at_washes_nothing_out_of_the_audit_stream(scene: Scene) -> None:
    await scene.signed_in(factor=True)
    stranger = await scene.signed_in()
    for _ in range(50):
        await stranger.call("GET /orders/1", headers={"Watchword-Code": "000000"})
    entries = await scene.gateway.store.audit.latest("ada", 1000)
    assert len([entry for entry in entries if entry.event == "code-refused"]) == 5


async def test_signing_in_and_out_everywhere_washes_nothing_off_the_activity_page(scene: Scene) -> None:
    await scene.signed_in(factor=True)
    for _ in range(210):
        stranger = await scene.signed_in()
        assert (await stranger.call(f"POST {API}/sessions/revoke-all")).status in (200, 204)
    events = {entry.event for entry in await scene.gateway.store.audit.latest("ada", 400)}
    assert {"factor-confirmed", "recovery-codes-made"} <= events


async def test_a_stranger_pushes_out_no_request_that_waits_for_a_code(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    form = {"amount": "1", "address": "x"}
    waiting = (await ada.visit("POST /withdrawals", form)).header(b"location")[0].decode()
    for _ in range(8):
        stranger = await scene.signed_in()
        for _ in range(5):
            scene.clock.advance(1)
            await stranger.visit("POST /withdrawals", form)
    answered = await ada.visit(f"POST {waiting}", {"code": ada.next_code()})
    assert answered.status == 303
    assert (await ada.visit("GET /withdrawals")).status == 200
    assert await scene.seen() == ["POST /withdrawals"]


async def test_a_stranger_whose_device_waits_ends_no_session(open_scene: OpenScene) -> None:
    async with open_scene(devices={"later": "approve"}) as scene:
        ada = await scene.signed_in()
        for _ in range(MOST_SESSIONS + 5):
            scene.clock.advance(1)
            await scene.client().sign_in("ada")
        assert (await ada.call("GET /")).status == 200


async def test_where_no_device_is_left_a_factor_keeps_the_next_one_out(open_scene: OpenScene) -> None:
    async with open_scene(devices={"later": "approve"}) as scene:
        ada = await scene.signed_in(factor=True)
        device = await own_device(ada)
        assert (await ada.call(f"DELETE {API}/devices/{device}")).status == 200
        stranger = await scene.signed_in()
        assert refusal(await stranger.call("GET /")) == (401, "device-pending")


async def test_the_owner_is_written_to_when_a_device_is_revoked(open_scene: OpenScene) -> None:
    """A stranger on a new device could throw all others out, and nobody would know."""
    nowhere = {"host": "127.0.0.1", "port": 1, "security": "none", "from": "Watchword <w@example.org>"}
    async with open_scene(notices={"address": "https://exchange.example", "mail": nowhere}) as scene:
        ada, stranger = await scene.signed_in(), await scene.signed_in()
        device = await own_device(ada)
        assert (await stranger.call(f"DELETE {API}/devices/{device}")).status == 200
        redis = scene.gateway.store.sessions._connection.redis
        messages = [await redis.hgetall(key) async for key in redis.scan_iter("*:message:*")]
        assert [(m["event"], m["to"]) for m in messages] == [("device-revoked", "ada@example.org")]


async def test_a_password_is_never_parked(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    form = {"current": "correct horse battery staple", "new": "another long password"}
    asked = (await ada.visit("POST /.watchword/password", form)).header(b"location")[0].decode()
    redis = scene.gateway.store.sessions._connection.redis
    assert [key async for key in redis.scan_iter("*:challenge:*") if await redis.hexists(key, "parked")] == []
    answered = await ada.visit(f"POST {asked}", {"code": ada.next_code()})
    assert answered.header(b"location") == [b"/.watchword/password"], "whose form is shown again"
