"""Where a device waits: the page, the code that ends it, and the stream that tells of the end."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.gateway import PASSWORD, POLICY, Client, OpenScene, Scene
from support.own_pages import action_of, alert, leads_to, listed, page, problem
from support.raw_client import Answer, RawClient
from support.upstreams import until

from gateway import assembly
from gateway.portal.waiting import MOST_STREAMS, Pace, Waiting

OWN = "/.watchword"
API = f"{OWN}/api"
GOOD = {"subject": "ada", "password": PASSWORD}
WAITING = f"{OWN}/waiting"

ON_DEVICE = POLICY.replace("rules:\n", 'rules:\n  - {name: vault, paths: ["/vault/**"], need: device}\n')
PROTECTED = ON_DEVICE.replace("Signing in, protect: by-choice", "Signing in, protect: always")


def words_in(html: str) -> str:
    (words,) = re.findall(r'class="words">.*?<strong>(.*?)</strong>', html)
    return str(words)


async def owner_and_newcomer(scene: Scene, *, factor: bool = True) -> tuple[Client, Client]:
    """Ada on a confirmed device, and somebody with her password on a new one, who can make her codes."""
    ada = await scene.signed_in(factor=factor)
    later = await scene.signed_in()
    later.setup_key = ada.setup_key
    return ada, later


async def device_of(client: Client) -> Any:
    """What waits in this client's session."""
    return await listed(client, "waiting")


# --- the page


async def test_the_waiting_page_leads_on_once_the_device_was_confirmed_elsewhere(
    open_scene: OpenScene,
) -> None:
    async with open_scene(devices={"later": "approve"}) as scene:
        ada, later = await scene.signed_in(), scene.client()
        await later.visit(f"POST {OWN}/sign-in", GOOD)
        address = leads_to(await later.visit("GET /profile?x=1"))
        assert address == f"{WAITING}?return_to=/profile%3Fx%3D1"
        html = page(await later.visit(f"GET {address}"))
        assert "http://localhost/.watchword/devices" in html
        assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in html
        devices = page(await ada.visit(f"GET {OWN}/devices"))
        assert words_in(devices) == words_in(html)
        done = await ada.visit(f"POST {action_of(devices, '/authorise')}", {})
        assert leads_to(done) == f"{OWN}/devices?notice=device-authorised"
        assert leads_to(await later.visit(f"GET {address}")) == "/profile?x=1"
        assert leads_to(await later.visit(f"GET {WAITING}?return_to=//e")) == "/"


async def test_a_new_sign_in_brings_new_words_which_the_old_page_shows_too(open_scene: OpenScene) -> None:
    async with open_scene(devices={"later": "approve"}) as scene:
        ada, later = await owner_and_newcomer(scene, factor=False)
        seen = set()
        for _ in range(3):
            html = page(await later.visit(f"GET {WAITING}"))
            assert words_in(html) == words_in(page(await ada.visit(f"GET {OWN}/devices")))
            assert words_in(html) == (await device_of(later))["words"]
            seen.add(words_in(html))
            await later.sign_in("ada")
        assert len(seen) > 1


async def test_a_waiting_device_that_is_revoked_is_led_to_the_way_in(open_scene: OpenScene) -> None:
    async with open_scene(devices={"later": "approve"}) as scene:
        ada, later = await owner_and_newcomer(scene, factor=False)
        device = (await device_of(later))["device"]
        await ada.visit(f"POST {OWN}/devices/{device}/revoke", {})
        way_in = f"{OWN}/sign-in?return_to=/x"
        assert leads_to(await later.visit(f"GET {WAITING}?return_to=/x")) == way_in
        assert leads_to(await later.visit(f"POST {WAITING}?return_to=/x", {"code": "123456"})) == way_in
        for line in (f"GET {API}/waiting", f"POST {API}/waiting"):
            assert problem(await later.call(line, {"code": "1"})) == (401, "no-session")


async def test_a_device_that_is_let_in_waits_only_where_it_must_be_confirmed(open_scene: OpenScene) -> None:
    async with open_scene(policy=ON_DEVICE) as scene:
        _, later = await owner_and_newcomer(scene)
        assert leads_to(await later.visit(f"GET {WAITING}?return_to=/x")) == "/x"
        assert (await later.visit("GET /")).status == 200
        refused = await later.call("GET /vault/gold")
        assert problem(refused) == (401, "device-unconfirmed")
        assert (refused.json["waiting"], refused.json["answer"]) == (
            f"{WAITING}?need=device",
            f"{API}/waiting",
        )
        address = leads_to(await later.visit("GET /vault/gold"))
        assert address == f"{WAITING}?return_to=/vault/gold&need=device"
        html = page(await later.visit(f"GET {address}"))
        assert "Confirm this device" in html
        form = action_of(html, "/waiting").replace("&amp;", "&")
        assert leads_to(await later.visit(f"POST {form}", {"code": later.next_code()})) == "/vault/gold"
        assert (await later.visit("GET /vault/gold")).status == 200
        assert leads_to(await later.visit(f"GET {address}")) == "/vault/gold"
        assert await scene.seen() == ["GET /", "GET /vault/gold"]


# --- a code given on the device


async def test_a_code_authorises_the_device_that_it_is_given_on(open_scene: OpenScene) -> None:
    async with open_scene(devices={"later": "step-up"}) as scene:
        _, later = await owner_and_newcomer(scene)
        address = leads_to(await later.visit("GET /profile"))
        html = page(await later.visit(f"GET {address}"))
        assert 'content="60"' in html, "slow enough to type a code"
        form = action_of(html, "/waiting")
        html = page(await later.visit(f"POST {form}", {"code": later.wrong_code()}), status=403)
        assert "That code is not right" in alert(html)
        old = later.session
        assert leads_to(await later.visit(f"POST {form}", {"code": later.next_code()})) == "/profile"
        assert later.session != old, "proof brings a new cookie"
        assert (await later.visit("GET /")).status == 200
        described = await device_of(later)
        assert (described["state"], described["confirmed"], described["words"]) == ("authorised", True, None)
        entries = (await scene.gateway.store.audit.latest("ada"))[:2]
        assert [(entry.event, entry.reason) for entry in entries] == [
            ("device-authorised", described["device"]),
            ("code-taken", "device-confirmed"),
        ]


@pytest.mark.parametrize("by_call", [False, True])
async def test_a_recovery_code_does_as_well(open_scene: OpenScene, by_call: bool) -> None:
    """Whoever lost the phone has no other device at hand, and no code."""
    async with open_scene(devices={"later": "step-up"}) as scene:
        ada, later = await owner_and_newcomer(scene)
        code = ada.recovery_codes[0]
        assert "Use a recovery code instead" in page(await later.visit(f"GET {WAITING}?return_to=/profile"))

        async def give(client: Client, code: str) -> Answer:
            if by_call:
                return await client.call(f"POST {API}/waiting", {"recovery_code": code})
            return await client.visit(f"POST {WAITING}?return_to=/profile", {"recovery_code": code})

        wrong = await give(later, "0000-0000-0000-0000")
        assert wrong.status == 403
        if not by_call:
            assert "That recovery code is not right" in alert(page(wrong, status=403))
        assert (await device_of(later))["state"] == "pending"
        done = await give(later, code)
        if by_call:
            assert (done.json["confirmed"], done.json["recovery_codes_left"]) == (True, 9)
        else:
            html = page(done)
            assert "9 recovery codes are left." in html
            assert 'href="/profile"' in html, "the way on"
        assert (await later.visit("GET /")).status == 200
        entries = (await scene.gateway.store.audit.latest("ada"))[:2]
        assert {entry.event for entry in entries} == {"recovery-code-used", "device-authorised"}

        third = await scene.signed_in()
        assert (await give(third, code)).status == 403, "once"
        assert (await device_of(third))["state"] == "pending"


async def test_a_device_that_was_revoked_meanwhile_takes_no_recovery_code(open_scene: OpenScene) -> None:
    async with open_scene(devices={"later": "step-up"}) as scene:
        ada, later = await owner_and_newcomer(scene)
        given = {"recovery_code": ada.recovery_codes[0]}
        device = (await device_of(later))["device"]
        assert (await ada.call(f"DELETE {API}/devices/{device}")).status == 200
        assert leads_to(await later.visit(f"POST {WAITING}?return_to=/x", given)).startswith(f"{OWN}/sign-in")
        assert problem(await later.call(f"POST {API}/waiting", given)) == (401, "no-session")
        assert (await ada.call(f"GET {API}/me")).json["recovery_codes_left"] == 10, "none is used up"
        assert [device["state"] for device in await listed(ada, "devices")] == ["authorised"]


async def test_the_recovery_code_of_the_waiting_page_is_the_code_of_the_sign_in_as_well(
    open_scene: OpenScene,
) -> None:
    async with open_scene(policy=PROTECTED, devices={"later": "step-up"}) as scene:
        ada, later = await owner_and_newcomer(scene)
        old = later.session
        done = await later.call(f"POST {API}/waiting", {"recovery_code": ada.recovery_codes[0]})
        assert (done.status, later.session != old) == (200, True)
        assert (await later.call("GET /vault/gold")).status == 200


async def test_where_codes_are_locked_only_a_recovery_code_is_asked_for(open_scene: OpenScene) -> None:
    async with open_scene(devices={"later": "step-up"}, codes={"attempts": 2, "lock": 2}) as scene:
        ada, later = await owner_and_newcomer(scene)
        for _ in range(2):
            answer = await later.visit(f"POST {WAITING}", {"code": later.wrong_code()})
        for html in (page(answer, status=403), page(await later.visit(f"GET {WAITING}"))):
            assert "Codes are locked" in alert(html)
            assert 'name="code"' not in html
            assert 'name="recovery_code"' in html
        page(await later.visit(f"POST {WAITING}", {"recovery_code": ada.recovery_codes[0]}))
        assert (await device_of(later))["confirmed"] is True


async def test_a_wrong_clock_is_told_here_as_elsewhere(open_scene: OpenScene) -> None:
    async with open_scene(devices={"later": "step-up"}) as scene:
        _, later = await owner_and_newcomer(scene)
        refused = await later.call(f"POST {API}/waiting", {"code": later.code(-8)})
        assert (problem(refused), refused.json["clock_off_by"]) == ((403, "wrong-clock"), -240)


async def test_guesses_at_recovery_codes_here_count_with_all_others(open_scene: OpenScene) -> None:
    async with open_scene(devices={"later": "step-up"}) as scene:
        ada, later = await owner_and_newcomer(scene)
        statuses = [
            (await later.call(f"POST {API}/waiting", {"recovery_code": "0000-0000-0000-0000"})).status
            for _ in range(7)
        ]
        assert statuses == [403] * 5 + [429] * 2
        refused = await later.call(f"POST {API}/waiting", {"recovery_code": ada.recovery_codes[0]})
        assert problem(refused) == (429, "too-many-attempts")


async def test_where_only_another_device_serves_no_recovery_code_does(open_scene: OpenScene) -> None:
    async with open_scene(devices={"later": "approve"}) as scene:
        ada, later = await owner_and_newcomer(scene)
        given = {"recovery_code": ada.recovery_codes[0]}
        assert problem(await later.call(f"POST {API}/waiting", given)) == (403, "denied")
        await later.visit(f"POST {WAITING}", given)
        assert (await device_of(later))["state"] == "pending"
        assert (await ada.call(f"GET {API}/me")).json["recovery_codes_left"] == 10


async def test_the_step_up_page_of_a_device_that_waits_shows_its_words(open_scene: OpenScene) -> None:
    async with open_scene(policy=PROTECTED, devices={"later": "step-up"}) as scene:
        ada = await scene.signed_in(factor=True)
        later = await scene.signed_in()
        asked = leads_to(await later.visit("GET /profile"))
        assert "/step-up/" in asked
        html = page(await later.visit(f"GET {asked}"))
        assert words_in(html) == words_in(page(await ada.visit(f"GET {OWN}/devices")))


async def test_the_same_by_calls(open_scene: OpenScene) -> None:
    async with open_scene(devices={"later": "step-up"}) as scene:
        _, later = await owner_and_newcomer(scene)
        assert problem(await later.call("GET /")) == (401, "device-pending")
        described = await device_of(later)
        assert described["code_serves"] is True
        assert len(described["words"].split()) == 2
        refused = await later.call(f"POST {API}/waiting", {"code": later.code()})
        assert problem(refused) == (403, "used-code")
        done = await later.call(f"POST {API}/waiting", {"code": later.next_code()})
        assert (done.status, done.json["state"], done.json["confirmed"]) == (200, "authorised", True)
        assert done.json["device"] == described["device"]
        assert (await later.call("GET /")).status == 200
        again = await later.call(f"POST {API}/waiting", {"code": "nonsense"})
        assert (again.status, again.json["confirmed"]) == (200, True), "there is nothing to ask for any more"


@pytest.mark.parametrize("later_devices", ["step-up", "allow"])
async def test_the_code_of_a_protected_sign_in_is_the_only_one(
    open_scene: OpenScene, later_devices: str
) -> None:
    async with open_scene(policy=PROTECTED, devices={"later": later_devices}) as scene:
        _, later = await owner_and_newcomer(scene)
        asked = await later.call("GET /vault/gold")
        assert (problem(asked), asked.json["action"]) == ((401, "code-needed"), "sign-in")
        assert (await later.answer(asked)).status == 200
        assert (await later.call("GET /vault/gold")).status == 200


async def test_a_code_that_comes_along_serves_for_sign_in_and_device(open_scene: OpenScene) -> None:
    async with open_scene(policy=PROTECTED, devices={"later": "step-up"}) as scene:
        _, later = await owner_and_newcomer(scene)
        done = await later.call("GET /vault/gold", headers={"Watchword-Code": later.next_code()})
        assert done.status == 200


async def test_the_code_of_the_waiting_page_is_that_of_the_sign_in_as_well(open_scene: OpenScene) -> None:
    async with open_scene(policy=PROTECTED, devices={"later": "step-up"}) as scene:
        _, later = await owner_and_newcomer(scene)
        assert (await later.call(f"POST {API}/waiting", {"code": later.next_code()})).status == 200
        assert (await later.call("GET /vault/gold")).status == 200


async def test_any_code_confirms_the_device_that_it_is_given_on(open_scene: OpenScene) -> None:
    async with open_scene(policy=ON_DEVICE) as scene:
        _, later = await owner_and_newcomer(scene)
        paid = await later.call(
            "POST /api/transfers",
            {"amount": 1, "address": "bc1q"},
            headers={"Watchword-Code": later.next_code()},
        )
        assert paid.status == 200
        assert (await later.call("GET /vault/gold")).status == 200


async def test_the_first_code_of_a_factor_confirms_the_device_too(open_scene: OpenScene) -> None:
    async with open_scene(policy=ON_DEVICE) as scene:
        _, later = await owner_and_newcomer(scene, factor=False)
        html = page(await later.visit(f"GET {leads_to(await later.visit('GET /vault/'))}"))
        assert "your account has none yet" in html
        assert f'href="{OWN}/security"' in html
        await later.enrol()
        assert (await later.call("GET /vault/gold")).status == 200


async def test_without_a_factor_there_is_no_code_to_ask_for(open_scene: OpenScene) -> None:
    async with open_scene(devices={"later": "step-up"}) as scene:
        _, later = await owner_and_newcomer(scene, factor=False)
        html = page(await later.visit(f"GET {WAITING}?return_to=/x"))
        assert 'name="code"' not in html
        assert "your account has no authenticator app" in html
        waits = f"{WAITING}?return_to=/x"
        assert leads_to(await later.visit(f"POST {waits}", {"code": "123456"})) == waits
        assert problem(await later.call(f"POST {API}/waiting", {"code": "123456"})) == (403, "denied")


# --- attacks


async def test_where_only_another_device_serves_no_code_does_by_any_door(open_scene: OpenScene) -> None:
    async with open_scene(policy=PROTECTED, devices={"later": "approve"}) as scene:
        _, later = await owner_and_newcomer(scene)
        assert problem(await later.call(f"POST {API}/waiting", {"code": later.next_code()})) == (
            403,
            "denied",
        )
        waits = f"{WAITING}?return_to=/vault/gold"
        assert leads_to(await later.visit(f"POST {waits}", {"code": later.code()})) == waits
        assert 'name="code"' not in page(await later.visit(f"GET {waits}"))
        # The code of the sign-in is asked for, and taken, and leaves the device where it is.
        assert (await later.answer(await later.call("GET /vault/gold"), later.code())).status == 200
        by_header = await later.call("GET /vault/gold", headers={"Watchword-Code": later.next_code()})
        assert problem(by_header) == (401, "device-pending")
        assert (await device_of(later))["state"] == "pending"
        begun = await later.call(f"POST {API}/factors", {"label": "Mine"})
        assert problem(begun) == (401, "device-pending")
        assert await scene.seen() == []


async def test_where_only_another_device_serves_no_code_confirms_one_that_is_let_in(
    open_scene: OpenScene,
) -> None:
    async with open_scene(policy=ON_DEVICE) as scene:
        ada, later = await owner_and_newcomer(scene)
        port = scene.gateway.port
    async with open_scene(policy=ON_DEVICE, devices={"later": "approve"}) as scene:
        assert scene.gateway.port != port
        ada.port = later.port = scene.gateway.port
        for code in (later.next_code(), later.next_code()):
            paid = await later.call(
                "POST /api/transfers", {"amount": 1, "address": "b"}, headers={"Watchword-Code": code}
            )
            assert paid.status == 200
        assert problem(await later.call("GET /vault/gold")) == (401, "device-unconfirmed")
        device = (await device_of(later))["device"]
        assert (await ada.call(f"POST {API}/devices/{device}/authorise")).json["confirmed"] is True
        assert (await later.call("GET /vault/gold")).status == 200


@pytest.mark.parametrize("later_devices", ["step-up", "approve"])
async def test_a_pending_device_confirms_neither_itself_nor_others(
    open_scene: OpenScene, later_devices: str
) -> None:
    async with open_scene(devices={"later": later_devices}) as scene:
        ada, later = await owner_and_newcomer(scene)
        other = await scene.signed_in()
        for waits in (later, other):
            line = f"POST {API}/devices/{(await device_of(waits))['device']}/authorise"
            assert problem(await later.call(line)) == (401, "device-pending")
            assert leads_to(await later.visit(line.replace("/api", ""), {})).startswith(WAITING)
        states = sorted(device["state"] for device in await listed(ada, "devices"))
        assert states == ["authorised", "pending", "pending"]


async def test_nobody_confirms_the_device_of_somebody_else(open_scene: OpenScene) -> None:
    async with open_scene(devices={"later": "approve"}) as scene:
        _, later = await owner_and_newcomer(scene)
        device = (await device_of(later))["device"]
        eve = await scene.signed_in("eve", factor=True)
        assert problem(await eve.call(f"POST {API}/devices/{device}/authorise")) == (404, "not-found")
        await eve.visit(f"POST {OWN}/devices/{device}/authorise", {})
        assert (await device_of(later))["state"] == "pending"


async def test_another_accounts_code_confirms_nothing(open_scene: OpenScene) -> None:
    async with open_scene(devices={"later": "step-up"}) as scene:
        _, later = await owner_and_newcomer(scene)
        eve = await scene.signed_in("eve", factor=True)
        refused = await later.call(f"POST {API}/waiting", {"code": eve.next_code()})
        assert problem(refused) == (403, "wrong-code")
        assert (await device_of(later))["state"] == "pending"


async def test_this_door_counts_attempts_with_all_others(open_scene: OpenScene) -> None:
    async with open_scene(devices={"later": "step-up"}, codes={"attempts": 3}) as scene:
        ada, later = await owner_and_newcomer(scene)
        scene.clock.advance(30)
        assert problem(await later.call(f"POST {API}/waiting", {"code": later.wrong_code()}))[0] == 403
        wrong = await later.visit(f"POST {WAITING}", {"code": later.wrong_code()})
        assert wrong.status == 403
        stranger = await scene.signed_in()
        assert problem(await stranger.call(f"POST {API}/waiting", {"code": later.wrong_code()}))[0] == 403
        right = later.code()
        assert problem(await later.call(f"POST {API}/waiting", {"code": right})) == (429, "too-many-attempts")
        html = page(await later.visit(f"POST {WAITING}", {"code": right}), status=429)
        assert "Too many attempts" in alert(html)
        assert (await device_of(later))["state"] == "pending"
        asked = await ada.call("POST /api/transfers", {"amount": 1, "address": "bc1q"})
        assert (await ada.answer(asked, right)).status == 200, "whom nobody keeps waiting"


# --- events


@asynccontextmanager
async def stream_of(client: Client, query: str = "") -> AsyncIterator[tuple[Answer, RawClient]]:
    """An open stream: its head, and the connection that its events come on."""
    async with await RawClient.connect(client.port) as connection:
        await connection.send(client.request(f"GET {WAITING}/events{query}", {"Accept": "text/event-stream"}))
        head = (await connection.reader.readuntil(b"\r\n\r\n"))[:-4]
        yield Answer(head, b""), connection


async def told(connection: RawClient) -> str:
    """All that a stream says from now on, without its signs of life; it ends by itself."""
    body = b""
    while chunk := await connection.chunk():
        body += chunk
    return body.decode().replace(": waiting\n\n", "")


AUTHORISED = "event: authorised\ndata:\n\n"
ENDED = "event: ended\ndata:\n\n"


async def test_the_stream_tells_when_the_device_was_confirmed_elsewhere(open_scene: OpenScene) -> None:
    async with open_scene(devices={"later": "approve"}) as scene:
        ada, later = await owner_and_newcomer(scene, factor=False)
        device = (await device_of(later))["device"]
        async with stream_of(later) as (answer, connection):
            assert answer.status == 200
            assert answer.header(b"content-type") == [b"text/event-stream"]
            assert answer.header(b"cache-control") == [b"no-store"]
            assert await connection.chunk() == b": waiting\n\n", "at once, before there is anything to tell"
            assert (await ada.call(f"POST {API}/devices/{device}/authorise")).status == 200
            assert await told(connection) == AUTHORISED
            await connection.send(later.request("GET /", {"Connection": "close"}))
            assert (await connection.answer()).status == 200, "the connection is as good as before"


async def test_a_device_that_must_be_confirmed_hears_of_that_only(open_scene: OpenScene) -> None:
    async with open_scene(policy=ON_DEVICE) as scene:
        ada, later = await owner_and_newcomer(scene)
        async with stream_of(later) as (_, connection):
            assert await told(connection) == AUTHORISED
        async with stream_of(later, "?need=device") as (_, connection):
            assert await connection.chunk() == b": waiting\n\n"
            device = (await device_of(later))["device"]
            await ada.call(f"POST {API}/devices/{device}/authorise")
            assert await told(connection) == AUTHORISED


@pytest.mark.parametrize("what", ["sign-out", "session", "device", "account", "everybody", "idle"])
async def test_the_stream_ends_with_what_it_is_about(open_scene: OpenScene, what: str) -> None:
    async with open_scene(devices={"later": "approve"}) as scene:
        _, later = await owner_and_newcomer(scene, factor=False)
        snapshot = await scene.gateway.store.who.ask(later.session, scene.clock.now)
        assert snapshot is not None
        revocations, why = (
            scene.gateway.store.revocations,
            {"reason": "", "actor": "", "now": scene.clock.now},
        )
        async with stream_of(later) as (_, connection):
            assert await connection.chunk() == b": waiting\n\n"
            match what:
                case "sign-out":
                    await later.call(f"POST {API}/sign-out")
                case "session":
                    await revocations.session(snapshot.session.id, **why)
                case "device":
                    await revocations.device(snapshot.session.device_id, **why)
                case "account":
                    await revocations.account("ada", **why)
                case "everybody":
                    await revocations.everybody(**why)
                case "idle":
                    scene.clock.advance(3600)
            assert await told(connection) == ENDED


async def test_a_stranger_hears_nothing(open_scene: OpenScene) -> None:
    async with open_scene(devices={"later": "approve"}) as scene:
        _, later = await owner_and_newcomer(scene, factor=False)
        forged = later.with_cookies(session="00." + "x" * 43)
        for stranger in (scene.client(), forged):
            answer = await stranger.call(f"GET {WAITING}/events")
            assert problem(answer) == (401, "no-session")
            assert problem(await stranger.call(f"GET {API}/waiting")) == (401, "no-session")
        await later.call(f"POST {API}/sign-out")
        assert problem(await later.call(f"GET {WAITING}/events")) == (401, "no-session")


async def test_a_head_has_no_events(open_scene: OpenScene) -> None:
    async with open_scene(devices={"later": "approve"}) as scene:
        _, later = await owner_and_newcomer(scene, factor=False)
        answer = await later.call(f"HEAD {WAITING}/events")
        assert (answer.status, answer.header(b"content-type")) == (200, [b"text/event-stream"])


async def test_one_account_has_so_many_streams_and_no_more(open_scene: OpenScene) -> None:
    async with open_scene(devices={"later": "approve"}) as scene:
        _, later = await owner_and_newcomer(scene, factor=False)
        same = await scene.signed_in()
        await scene.signed_in("bob")
        other = await scene.signed_in("bob")
        connections = []
        for _ in range(MOST_STREAMS):
            connection = await RawClient.connect(later.port)
            connections.append(connection)
            await connection.send(later.request(f"GET {WAITING}/events", {}))
            assert b" 200 " in await connection.reader.readuntil(b"\r\n\r\n")
        refused = await same.call(f"GET {WAITING}/events")
        assert problem(refused) == (503, "overloaded")
        assert refused.header(b"retry-after") == [b"30"]
        async with stream_of(other) as (answer, _):
            assert answer.status == 200, "others are not concerned"
        # Those that left make room, if nobody tells them anything.
        for connection in connections:
            connection.writer.transport.abort()
        while (await later.call(f"HEAD {WAITING}/events")).status == 503:
            await asyncio.sleep(0.05)


async def test_a_stream_has_an_end_after_which_the_browser_asks_anew(
    open_scene: OpenScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = Pace(seconds=0.01, looks=7, looks_per_sign=3)
    monkeypatch.setattr(assembly, "Waiting", lambda *parts: Waiting(*parts, quick))
    async with open_scene(devices={"later": "approve"}) as scene:
        _, later = await owner_and_newcomer(scene, factor=False)
        async with stream_of(later) as (_, connection):
            chunks = []
            while chunk := await connection.chunk():
                chunks.append(chunk)
            assert chunks == [b": waiting\n\n"] * 3


async def test_a_stream_does_not_keep_the_gateway_from_stopping(open_scene: OpenScene) -> None:
    async with open_scene(devices={"later": "approve"}) as scene:
        _, later = await owner_and_newcomer(scene, factor=False)
        async with stream_of(later) as (_, connection):
            assert await connection.chunk() == b": waiting\n\n"
            await scene.gateway.stop()
            assert await told(connection) == "", "an end in good order"
            assert await connection.rest() == b""


async def test_a_stream_is_cut_with_its_session_before_it_looks_again(
    open_scene: OpenScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case 31. Only the node was told: the store, which the stream would look at in an hour, says nothing."""
    slow = Pace(seconds=3600)
    monkeypatch.setattr(assembly, "Waiting", lambda *parts: Waiting(*parts, slow))
    async with open_scene(devices={"later": "approve"}) as scene:
        ada, later = await owner_and_newcomer(scene, factor=False)
        live = scene.gateway.live
        async with stream_of(later) as (_, connection), stream_of(ada, "?need=device") as (_, other):
            assert await connection.chunk() == b": waiting\n\n"
            assert await told(other) == AUTHORISED
            await until(lambda: live.count == 1)  # whose stream is over is not registered
            (session,) = live.sessions()
            assert live.cut_session(session.id, "over") == 1
            assert await told(connection) == ENDED
            assert await connection.rest() == b""
            assert live.count == 0


async def test_a_stream_behind_a_fence_says_nothing(
    open_scene: OpenScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = Pace(seconds=0.01, looks_per_sign=1)
    monkeypatch.setattr(assembly, "Waiting", lambda *parts: Waiting(*parts, quick))
    async with open_scene(devices={"later": "approve"}) as scene:
        _, later = await owner_and_newcomer(scene, factor=False)
        async with stream_of(later) as (_, connection):
            assert await connection.chunk() == b": waiting\n\n"
            scene.gateway.live.fence, scene.gateway.live.fresh_for = lambda _: False, 0.0
            assert await told(connection) == ENDED
            assert await connection.rest() == b""
