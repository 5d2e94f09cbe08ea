"""Keys are rotated and retired while two gateways run, and people give codes at both all the time."""

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

from redis.asyncio import Redis
from structlog.testing import capture_logs
from support.authenticator import Authenticator
from support.gateway import PASSWORD, Client, Scene
from support.own_process import OwnProcess, another_process, own_process, watchword
from support.recording import Recorder
from support.store import contents
from support.upstreams import serving

from gateway.store.keyring import KeyState, KeyTimes
from gateway.store.keys import META
from gateway.store.ring_file import changing, load
from gateway.store.rotation import rotate


class Person:
    """Somebody with an authenticator, who has a browser of their own at each gateway."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.browsers: dict[int, Client] = {}

    async def enrol(self, gateway: OwnProcess) -> None:
        browser = await self._browser(gateway)
        begun = (await browser.call("POST /.watchword/api/factors", {"label": "Phone"})).json
        self.authenticator = Authenticator(begun["secret"])
        confirm = f"POST /.watchword/api/factors/{begun['id']}/confirm"
        assert (await browser.call(confirm, {"code": await self.authenticator.code()})).status == 200

    async def approve(self, gateway: OwnProcess) -> int:
        """Do something that takes a code of its own; the status of the answer."""
        browser = await self._browser(gateway)
        code = {"Watchword-Code": await self.authenticator.code()}
        return (await browser.call("GET /orders/1", headers=code)).status

    async def _browser(self, gateway: OwnProcess) -> Client:
        if gateway.port not in self.browsers:
            self.browsers[gateway.port] = gateway.client()
            await self.browsers[gateway.port].sign_in(self.subject, PASSWORD)
        return self.browsers[gateway.port]


async def test_codes_work_before_during_and_after(tmp_path: Path, valkey: Redis, valkey_url: str) -> None:
    path, subjects = tmp_path / "data" / "keys.json", ("ada", "bob", "eve")
    async with serving(Recorder()) as app, own_process(tmp_path, app.address, valkey_url) as one:
        for subject in subjects[1:]:
            await watchword(tmp_path, "user", "add", subject, "--password-stdin", said=PASSWORD)
        people = [Person(subject) for subject in subjects]
        for person in people:
            await person.enrol(one)
        first = load(path).active
        async with another_process(tmp_path) as other:
            rotating = asyncio.create_task(watchword(tmp_path, "keys", "rotate"))
            during = [
                await person.approve(gateway)
                for person, gateway in zip(people, (one, other, one), strict=True)
            ]
            await rotating
            assert during == [200] * 3

            zoe = Person("zoe")
            await watchword(tmp_path, "user", "add", "zoe", "--password-stdin", said=PASSWORD)
            await zoe.enrol(other)  # sealed with the new key by one gateway, and opened by the other one
            assert await zoe.approve(one) == 200
            assert f"'{first}." not in repr(await contents(valkey)), "everything is sealed anew"

            await settle(path, valkey)
            await watchword(tmp_path, "keys", "retire", first, "--yes")
            assert load(path).keys.keys() == {load(path).active}
            after = [
                await person.approve(gateway)
                for person, gateway in zip(people, (other, one, other), strict=True)
            ]
            assert after == [200] * 3
        async with another_process(tmp_path) as anew:
            assert await zoe.approve(anew) == 200


async def settle(path: Path, valkey: Redis) -> None:
    """Make the end of every kept key long ago: nobody waits for a minute here."""
    with changing(path) as file:
        kept = [name for name in file.ring.keys if file.ring.state(name) is KeyState.KEPT]
        times = {**file.ring.times, **dict.fromkeys(kept, KeyTimes(0.0, 0.0, 0.0))}
        file.put(replace(file.ring, times=times))
    for name in kept:
        await valkey.hset(META, f"key:{name}", "0")


async def test_an_old_backup_of_a_ring_does_not_start(tmp_path: Path, valkey: Redis, valkey_url: str) -> None:
    path, backup = tmp_path / "data" / "keys.json", tmp_path / "keys.backup"
    async with own_process(tmp_path, "http://127.0.0.1:1", valkey_url):
        shutil.copy(path, backup)
        await watchword(tmp_path, "keys", "rotate")
        shutil.copy(path, tmp_path / "keys.good")
    path.unlink()
    backup.rename(path)
    before, kept = path.read_bytes(), await contents(valkey)
    said = await _refused(tmp_path)
    assert f"the key ring lacks keys: {load(tmp_path / 'keys.good').active} (needed by 1)" in said
    assert "copy it from where it was changed last, or restore it from a backup" in said
    assert (path.read_bytes(), await contents(valkey)) == (before, kept)


async def _refused(folder: Path) -> str:
    """What a gateway says that does not start."""
    try:
        async with another_process(folder):
            raise RuntimeError("it started")
    except AssertionError as error:
        return str(error)


async def test_a_backup_put_back_under_a_running_gateway_harms_nobody(scene: Scene) -> None:
    """It lacks the newest key. The gateway goes on with what it has, and a start would be refused."""
    path, backup = scene.gateway.settings.keys, scene.gateway.settings.keys.read_bytes()
    scene.clock.advance(1)
    await rotate(path, scene.gateway.store.sealed, scene.clock.now)
    ada = await scene.signed_in(factor=True)
    path.write_bytes(backup)
    with capture_logs() as said:
        eve = await scene.signed_in("eve", factor=True)
    assert [entry["event"] for entry in said if entry["log_level"] == "error"] == [
        "this ring is of another store, or older; the one in use stays"
    ]
    for person in (ada, eve):
        scene.clock.advance(30)
        answer = await person.call("GET /orders/1", headers={"Watchword-Code": person.code()})
        assert answer.status == 200


async def test_a_factor_whose_key_is_gone_is_no_error_page(scene: Scene, valkey: Redis) -> None:
    ada = await scene.signed_in()
    begun = (await ada.call("POST /.watchword/api/factors", {"label": "Phone"})).json
    page = f"/.watchword/security/factors/{begun['id']}"
    assert (await ada.visit(f"GET {page}")).status == 200
    await valkey.hset(f"ww:{{s00}}:factor:{begun['id']}", "sealed_seed", "k-lost.AAAA")
    answers = [
        await ada.visit(f"GET {page}"),
        await ada.visit(f"POST {page}/confirm", {"code": "123456"}),
        await ada.call(f"POST /.watchword/api/factors/{begun['id']}/confirm", {"code": "123456"}),
    ]
    assert [answer.status for answer in answers] == [303, 303, 404]
    await ada.enrol()
    assert (await ada.call("GET /orders/1", headers={"Watchword-Code": ada.next_code()})).status == 200
