"""The gateway put together: what stops its start, what its settings change, and how it stops."""

import asyncio
import json
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs
from support.gateway import PASSWORD, POLICY, OpenScene, Scene, policy_in, settings_in
from support.mail import mail_server, reserved_port
from support.raw_client import Answer, RawClient
from support.resets import GRACE, MARGARET
from support.store import running_server
from support.tls import self_signed
from support.upstreams import OK, Peer
from support.webhooks import SECRET, receiving

from gateway import app as composition
from gateway.admin.tokens import Scope, issue_token
from gateway.app import load_configuration, load_policies, open_keys_and_store, start_gateway
from gateway.assembly import reset_cases
from gateway.core.policy.model import Need
from gateway.core.reset import Reset, ResetState
from gateway.core.telling import Channel
from gateway.errors import CannotListen, Faulty, StoreUnavailable, WatchwordError
from gateway.notices import worker


async def ask(port: int, path: str) -> Answer:
    async with await RawClient.connect(port) as client:
        await client.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return await client.answer()


# --- starting


async def test_it_listens_for_people_and_for_operators(scene: Scene) -> None:
    gateway = scene.gateway
    assert (await ask(gateway.port, "/public/x")).status == 200
    assert (await ask(gateway.admin_port, "/healthz")).status == 200
    assert (await ask(gateway.admin_port, "/readyz")).json == {"ready": True, "troubles": []}
    assert (await ask(gateway.admin_port, "/v1/revocations")).status == 401
    assert (await ask(gateway.port, "/v1/revocations")).status == 401, "an unlisted path of the app"
    assert (await ask(gateway.admin_port, "/.watchword/sign-in")).status == 404


async def never_started(settings: Any, error: type[Exception]) -> str:
    with pytest.raises(error) as raised:
        await start_gateway(settings)
    return str(raised.value)


async def test_a_faulty_policy_stops_the_start(tmp_path: Path) -> None:
    policy_in(tmp_path, POLICY.replace("need: deny", "need: dney").replace("GET", "GOT"))
    said = await never_started(settings_in(tmp_path, store={"url": "unix:///nowhere"}), Faulty)
    assert len(said.splitlines()) >= 2, "all faults, before anything else is tried"
    assert not (tmp_path / "keys.json").exists()


async def test_plain_http_is_for_loopback(tmp_path: Path) -> None:
    policy_in(tmp_path, POLICY.replace("[localhost, 127.0.0.1]", "[localhost, exchange.example]"))
    assert "exchange.example" in await never_started(settings_in(tmp_path), Faulty)
    assert load_policies(settings_in(tmp_path, public_scheme="https")).app_for("exchange.example")


async def test_a_store_that_is_away_stops_the_start(tmp_path: Path) -> None:
    policy_in(tmp_path)
    settings = settings_in(tmp_path, store={"url": f"unix://{tmp_path}/nowhere", "timeout": 1.0})
    assert await never_started(settings, StoreUnavailable)


async def test_in_production_a_doubtful_store_stops_the_start(tmp_path: Path, short_path: Path) -> None:
    policy_in(tmp_path)
    with running_server(short_path, "--appendonly", "no") as server:
        settings = settings_in(tmp_path, mode="production", store={"url": server.url})
        assert "appendonly is off" in await never_started(settings, StoreUnavailable)
        with capture_logs() as said:
            await (await start_gateway(settings_in(tmp_path, store={"url": server.url}))).stop()
    assert {"event": "the store cannot be relied on", "doubt": "appendonly is off"}.items() <= said[0].items()


async def test_a_key_ring_of_another_store_stops_the_start(
    tmp_path: Path, valkey: Redis, valkey_url: str
) -> None:
    policy_in(tmp_path)
    store = {"url": valkey_url}
    await (await start_gateway(settings_in(tmp_path, store=store))).stop()
    other = settings_in(tmp_path, store=store, keys=tmp_path / "other.json")
    assert "key ring" in await never_started(other, WatchwordError)


@pytest.mark.parametrize("place", ["listen", "admin"])
async def test_a_port_that_is_taken_stops_the_start_before_anything_is_made(
    tmp_path: Path, valkey: Redis, valkey_url: str, place: str
) -> None:
    policy_in(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = settings_in(tmp_path, store={"url": valkey_url}, **{place: {"port": port}})
        said = await never_started(settings, CannotListen)
    assert said.startswith(f"{place}.port: 127.0.0.1:{port} is in use already")
    assert not settings.keys.exists()
    assert await valkey.keys() == []


@pytest.mark.parametrize("place", ["listen", "admin"])
async def test_what_was_started_is_stopped_when_a_later_part_fails(
    tmp_path: Path, valkey: Redis, valkey_url: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody listens at a port that was free a moment ago."""
    policy_in(tmp_path)
    taken: list[socket.socket] = []

    async def then(*given: Any) -> Any:
        opened = await open_keys_and_store(*given)
        other = socket.socket()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", getattr(settings, place).port))
        other.listen()
        taken.append(other)
        return opened

    monkeypatch.setattr(composition, "open_keys_and_store", then)
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        port, admin_port = first.getsockname()[1], second.getsockname()[1]
    settings = settings_in(
        tmp_path, store={"url": valkey_url}, listen={"port": port}, admin={"port": admin_port}
    )
    said = await never_started(settings, CannotListen)
    taken[0].close()
    assert f"{place}.port: " in said
    assert await is_refused(port) and await is_refused(admin_port)
    await no_other_client(valkey)


def test_every_fault_of_settings_and_policies_is_told_at_once(tmp_path: Path) -> None:
    policy_in(tmp_path, POLICY.replace("need: deny", "need: dney"))
    config = tmp_path / "gateway.yaml"
    config.write_text("mode: tset\nlisten: {port: -1}\n")
    with pytest.raises(Faulty) as raised:
        load_configuration(config, {}, tmp_path / "policies")
    files = [Path(fault.file).name for fault in raised.value.faults]
    assert files.count("gateway.yaml") == 2 and files.count("exchange.yaml") >= 1

    config.write_text("mode: demo\npublic-scheme: http\n")
    policy_in(tmp_path)
    settings, policies = load_configuration(config, {}, None)
    assert (settings.mode, [app.name for app in policies.apps]) == ("demo", ["exchange"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("listen: {port: 8081}", "listen and admin are both 127.0.0.1:8081"),
        ("tls: {certificate: gone.pem, key: gone.key}", "gone.pem and its key cannot be used"),
    ],
)
def test_what_a_start_would_not_allow_is_told_before_it(tmp_path: Path, text: str, message: str) -> None:
    policy_in(tmp_path)
    config = tmp_path / "gateway.yaml"
    config.write_text(f"public-scheme: http\n{text}\n")
    with pytest.raises(Faulty, match=message) as raised:
        load_configuration(config, {}, None)
    assert [fault.file for fault in raised.value.faults] == [str(config)]


async def no_other_client(valkey: Redis) -> None:
    """Wait until the server has none but this one; pytest's timeout ends what never does."""
    while len(await valkey.client_list()) > 1:
        await asyncio.sleep(0.001)


# --- settings


async def test_tls_ends_here_where_it_is_asked_to(tmp_path: Path, open_scene: OpenScene) -> None:
    pem = tmp_path / "localhost.pem"
    pem.write_bytes(self_signed("localhost"))
    async with open_scene(public_scheme="https", tls={"certificate": pem, "key": pem}) as scene:
        trusting = ssl.create_default_context(cafile=str(pem))
        opened = await asyncio.open_connection("localhost", scene.gateway.port, ssl=trusting)
        async with RawClient(*opened) as client:
            await client.send(scene.client().request("GET /public/x", {}))
            assert (await client.answer()).status == 200
        assert scene.app.requests[0].header("x-forwarded-proto") == ["https"]
        with pytest.raises(asyncio.IncompleteReadError):
            await scene.client().call("GET /public/x")


async def test_cookies_are_as_safe_as_the_address_allows(open_scene: OpenScene) -> None:
    async with open_scene(public_scheme="https") as scene:
        ada = await scene.signed_in()
        assert set(ada.cookies) == {"__Host-ww-session", "__Host-ww-device"}
        assert (await ada.call("GET /mine")).status == 200


async def large_head(scene: Scene) -> list[int]:
    return [(await scene.client().call("GET /public/x", headers={f"X-{n}": "1" for n in range(9)})).status]


async def sign_in_limits(scene: Scene) -> list[int]:
    wrong = {"subject": "ada", "password": "wrong"}
    return [(await scene.client().call("POST /.watchword/api/sign-in", wrong)).status for _ in range(3)]


async def challenge_lifetime(scene: Scene) -> list[int]:
    ada = await scene.signed_in(factor=True)
    asked = await ada.call("GET /password")
    return [(await ada.answer(asked)).status]


async def idle_sessions(scene: Scene) -> list[int]:
    ada = await scene.signed_in()
    scene.clock.advance(61)
    return [(await ada.call("GET /mine")).status]


async def no_grace(scene: Scene) -> list[int]:
    ada = await scene.signed_in()
    before = ada.with_cookies(session=ada.session)
    await ada.enrol()
    scene.clock.advance(1)
    return [(await before.call("GET /mine")).status]


async def wrong_codes(scene: Scene) -> list[int]:
    ada = await scene.signed_in(factor=True)
    wrong = {"Watchword-Code": ada.wrong_code()}
    return [(await ada.call("GET /password", headers=wrong)).status for _ in range(3)]


async def code_delays(scene: Scene) -> list[int]:
    """After five wrong codes: one more at once, another after 30 s and 60 s each, a right one after 90 s."""
    ada = await scene.signed_in(factor=True)

    async def attempt(code: str) -> int:
        return (await ada.call("GET /password", headers={"Watchword-Code": code})).status

    for _ in range(5):
        await attempt(ada.wrong_code())
    statuses = [await attempt(ada.wrong_code())]
    for code_then in (ada.wrong_code, ada.wrong_code, ada.code):
        scene.clock.advance(30)
        statuses.append(await attempt(code_then()))
    return statuses


async def sign_in_delays(scene: Scene) -> list[int]:
    """The same with passwords, of which ten are free."""
    await scene.signed_in()

    async def attempt(password: str) -> int:
        fields = {"subject": "ada", "password": password}
        return (await scene.client().call("POST /.watchword/api/sign-in", fields)).status

    for _ in range(10):
        await attempt("wrong")
    statuses = [await attempt("wrong")]
    for password in ("wrong", "wrong", PASSWORD):
        scene.clock.advance(30)
        statuses.append(await attempt(password))
    return statuses


async def later_devices(scene: Scene) -> list[int]:
    return [(await (await scene.signed_in()).call("GET /mine")).status for _ in range(2)]


@pytest.mark.parametrize(
    ("settings", "attempt", "statuses"),
    [
        ({}, large_head, [200]),
        ({"limits": {"header_count": 5}}, large_head, [400]),
        ({"limits": {"header_size": 60}}, large_head, [431]),
        ({}, sign_in_limits, [401, 401, 401]),
        ({"sign_in": {"attempts_by_account": 2}}, sign_in_limits, [401, 401, 429]),
        ({"sign_in": {"attempts_by_address": 1}}, sign_in_limits, [401, 429, 429]),
        ({}, challenge_lifetime, [200]),
        ({"challenges": {"lifetime": "30s"}}, challenge_lifetime, [410]),
        ({}, idle_sessions, [200]),
        ({"sessions": {"idle": "1m"}}, idle_sessions, [401]),
        ({}, no_grace, [200]),
        ({"sessions": {"grace": "1s"}}, no_grace, [401]),
        ({}, wrong_codes, [403, 403, 403]),
        ({"codes": {"attempts": 2}}, wrong_codes, [403, 403, 429]),
        ({}, code_delays, [429, 403, 429, 200]),
        ({"codes": {"delay": 60}}, code_delays, [429, 429, 403, 429]),
        ({"codes": {"longest_delay": 30}}, code_delays, [429, 403, 403, 200]),
        ({"codes": {"lock": 4}}, code_delays, [403, 403, 403, 403]),
        ({}, sign_in_delays, [429, 401, 429, 200]),
        ({"sign_in": {"delay": 60}}, sign_in_delays, [429, 429, 401, 429]),
        ({"sign_in": {"longest_delay": 30}}, sign_in_delays, [429, 401, 401, 200]),
        ({}, later_devices, [200, 200]),
        ({"devices": {"later": "notify"}}, later_devices, [200, 200]),
        ({"devices": {"later": "step-up"}}, later_devices, [200, 401]),
        ({"devices": {"later": "approve"}}, later_devices, [200, 401]),
    ],
)
async def test_settings_reach_what_they_are_for(
    open_scene: OpenScene, settings: dict[str, Any], attempt: Callable[[Scene], Any], statuses: list[int]
) -> None:
    async with open_scene(**settings) as scene:
        assert await attempt(scene) == statuses


async def test_a_gateway_resets_what_has_waited_as_long_as_the_settings_say(open_scene: OpenScene) -> None:
    rules = {"waiting": "1h", "evidence": ["passport"], "abandon_after": "2d", "keep": "9d"}
    async with open_scene(resets=rules) as scene:
        await scene.signed_in(factor=True)
        store, now = scene.gateway.store, scene.clock.now
        cases = reset_cases(scene.gateway.settings, store)
        reset = await cases.open("ada", "x", GRACE, now)
        assert isinstance(reset, Reset)
        assert (reset.checklist, reset.lapses_at) == (("passport",), now + 2 * 86_400)
        await cases.record(reset.id, "passport", "seen", GRACE, now)
        underway = await cases.approve(reset.id, MARGARET, now)
        assert isinstance(underway, Reset)
        assert underway.due_at == now + 3600
        scene.clock.advance(3600)
        ended = b'watchword_revocations_total{scope="account"} 1.0'
        while ended not in (await ask(scene.gateway.admin_port, "/metrics")).body:
            await asyncio.sleep(0.05)
        found, account = await store.resets.find(reset.id), await store.accounts.find("ada")
        assert found is not None and found.state is ResetState.DONE
        assert account is not None and account.must_enrol


async def test_authenticator_apps_show_the_issuer(open_scene: OpenScene) -> None:
    async with open_scene(issuer="Ada's Exchange") as scene:
        begun = await (await scene.signed_in()).call("POST /.watchword/api/factors", {"label": ""})
        assert "issuer=Ada%27s%20Exchange" in begun.json["uri"]


# --- telling people


def by_mail(port: int) -> dict[str, Any]:
    mail = {"host": "localhost", "port": port, "from": "no-reply@exchange.example", "security": "none"}
    return {"mail": mail, "address": "https://exchange.example"}


async def test_no_request_waits_for_a_mail_server(open_scene: OpenScene) -> None:
    """It has the mail of the first answer in its hands, and says nothing, while the others are given."""
    connected, let_go = asyncio.Event(), asyncio.Event()

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await let_go.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with open_scene(notices=by_mail(server.sockets[0].getsockname()[1])) as scene:
        ada = await scene.signed_in(factor=True)
        await connected.wait()
        assert (await ada.call("GET /mine")).status == 200
        assert (await ada.call("POST /.watchword/api/sessions/revoke-all")).status == 200
        assert await scene.gateway.store.outbox.waiting(Channel.MAIL) == 3
        let_go.set()
    server.close()


async def test_a_dead_mail_server_loses_nothing(
    open_scene: OpenScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "IDLE_SECONDS", 0.02)
    away = reserved_port()
    notices = by_mail(away.getsockname()[1])
    async with open_scene(notices=notices) as scene:
        ada = await scene.signed_in(factor=True)
        await ada.call("POST /.watchword/api/sessions/revoke-all")
        assert (await scene.signed_in()).session
    # Not even a gateway that was stopped meanwhile.
    async with mail_server(listen_on=away) as mailbox, open_scene(notices=notices) as scene:
        scene.clock.advance(worker.CLAIM_SECONDS)
        mails = await mailbox.until(3)
    assert {mail["Subject"] for mail in mails} == {
        "Watchword: An authenticator app was added",
        "Watchword: New recovery codes were made",
        "Watchword: Every session has ended",
    }
    assert {mail["To"] for mail in mails} == {"ada@example.org"}


async def test_two_gateways_tell_each_thing_once(open_scene: OpenScene) -> None:
    async with receiving() as receiver:
        notices = {"webhook": {"url": receiver.url, "secret": SECRET}}
        async with open_scene(notices=notices) as one, open_scene(notices=notices) as other:
            for subject, scene in (("ada", one), ("bob", other), ("eve", one)):
                person = await scene.signed_in(subject, factor=True)
                await person.call("POST /.watchword/api/sessions/revoke-all")
            await receiver.until(9)
            while await one.gateway.store.outbox.waiting(Channel.WEBHOOK):
                await asyncio.sleep(0.001)
    told = Counter(
        (json.loads(call.body)["type"], json.loads(call.body)["data"]["subject"]) for call in receiver.calls
    )
    assert told == {
        (event, subject): 1
        for event in ("factor-confirmed", "recovery-codes-made", "account-revoked")
        for subject in ("ada", "bob", "eve")
    }


# --- policies


async def test_a_changed_policy_is_taken_by_itself(scene: Scene) -> None:
    """And a faulty one shows in the readiness probe, while the last good one goes on."""
    gateway = scene.gateway
    watching = asyncio.create_task(gateway.watch_policies())
    good = scene.policy.read_text()
    opened = good.replace("unmatched: session", "unmatched: public")
    await rewritten(scene.policy, opened, lambda: gateway.pipeline.policies.apps[0].unmatched == "public")
    assert (await ask(gateway.port, "/unlisted")).status == 200
    await rewritten(scene.policy, good.replace("unmatched", "unmtached"), lambda: bool(gateway.health.faults))
    assert (await ask(gateway.port, "/unlisted")).status == 200
    ready = await ask(gateway.admin_port, "/readyz")
    assert (ready.status, len(ready.json["troubles"])) == (200, 2)
    assert "unmtached" in ready.json["troubles"][1]
    await rewritten(scene.policy, good, lambda: not gateway.health.faults)
    assert (await ask(gateway.port, "/unlisted")).status == 401
    watching.cancel()


async def test_a_replaced_policy_folder_goes_on_being_watched(scene: Scene) -> None:
    gateway, folder = scene.gateway, scene.policy.parent
    watching = asyncio.create_task(gateway.watch_policies())
    good = scene.policy.read_text()
    for number, need in enumerate((Need.PUBLIC, Need.DENY)):
        folder.rename(folder.with_name(f"old-{number}"))
        folder.mkdir()
        changed = good.replace("unmatched: session", f"unmatched: {need}")

        def taken(need: Need = need) -> bool:
            return gateway.pipeline.policies.apps[0].unmatched is need

        await rewritten(scene.policy, changed, taken)
    watching.cancel()


async def rewritten(file: Path, text: str, condition: Callable[[], bool]) -> None:
    """Write until it was noticed: a watch may begin only after the first time. Nobody reads half of it."""
    while not condition():
        draft = file.with_suffix(".draft")
        draft.write_text(text)
        draft.replace(file)
        await asyncio.sleep(0.1)


# --- stopping


async def test_stopping_lets_a_request_end(open_scene: OpenScene) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow(peer: Peer) -> None:
        await peer.head()
        asked.set()
        await answer.wait()
        await peer.say(OK)

    async with open_scene(script=slow) as scene, await RawClient.connect(scene.gateway.port) as client:
        await client.send(scene.client().request("GET /public/x", {}))
        await asked.wait()
        stopping = asyncio.create_task(scene.gateway.stop())
        while not await is_refused(scene.gateway.port):
            assert not stopping.done()
        answer.set()
        assert (await client.answer()).status == 200
        await stopping
        assert await is_refused(scene.gateway.admin_port)


async def test_stopping_does_not_wait_for_an_operator_who_does_not_go_on(
    open_scene: OpenScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composition, "STOP_SECONDS", {"demo": 0.1})
    async with open_scene() as scene, await RawClient.connect(scene.gateway.admin_port) as client:
        token = issue_token(scene.gateway.ring, "op", frozenset({Scope.REVOKE}), 60.0, scene.clock.now)
        await client.send(
            b"POST /v1/revocations HTTP/1.1\r\nHost: admin\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer %b\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n" % token.encode()
        )
        assert (await client.answer()).status == 100
        async with asyncio.timeout(20):  # aiohttp alone waits for a minute
            await scene.gateway.stop()


async def is_refused(port: int) -> bool:
    try:
        async with await RawClient.connect(port):
            return False
    except ConnectionError:
        return True


async def test_stopping_leaves_no_connection_behind(open_scene: OpenScene, valkey: Redis) -> None:
    async with open_scene() as scene:
        await scene.signed_in()
        assert (await scene.client().call("GET /public/x")).status == 200
    await no_other_client(valkey)
    assert [await peer.rest() for peer in scene.upstream.peers] == [b""]
