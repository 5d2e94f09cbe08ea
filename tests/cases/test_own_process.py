"""Cases 39 and 41 on a gateway in a process of its own: what it holds in memory, and what it lets out."""

import base64
import json
import re
from pathlib import Path

from redis.asyncio import Redis
from support.authenticator import Authenticator
from support.gateway import PASSWORD, Client
from support.own_process import own_process
from support.raw_client import RawClient
from support.recording import Recorder
from support.store import LIKE_OURS, contents, running_server
from support.upstreams import OK, Peer, serving
from support.webhooks import SECRET as WEBHOOK_SECRET

MIB = 2**20
BLOCK = b"x" * 65536
BLOCKS = 2**30 // len(BLOCK)
ALLOWED = 32 * MIB


async def test_case_39_a_gigabyte_up_in_chunks(tmp_path: Path, valkey: Redis, valkey_url: str) -> None:
    received = 0

    async def counting(peer: Peer) -> None:
        nonlocal received
        await peer.head()
        while size := int(await peer.reader.readuntil(b"\r\n"), 16):
            await peer.reader.readexactly(size + 2)
            received += size
        await peer.reader.readuntil(b"\r\n")
        await peer.say(OK)

    async with serving(counting) as app, own_process(tmp_path, app.address, valkey_url) as gateway:
        ada = gateway.client()
        await ada.sign_in("ada")
        gateway.forget_peak_memory()
        before = gateway.peak_memory()
        async with await RawClient.connect(gateway.port) as client:
            await client.send(ada.request("POST /upload", {"Transfer-Encoding": "chunked"}))
            for _ in range(BLOCKS):
                await client.send(b"10000\r\n" + BLOCK + b"\r\n")
            await client.send(b"0\r\n\r\n")
            assert (await client.answer()).status == 200
        assert received == 2**30
        assert gateway.peak_memory() - before < ALLOWED


async def test_case_39_a_gigabyte_down(tmp_path: Path, valkey: Redis, valkey_url: str) -> None:
    async def generous(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % 2**30)
        for _ in range(BLOCKS):
            await peer.say(BLOCK)
        await peer.rest()

    async with serving(generous) as app, own_process(tmp_path, app.address, valkey_url) as gateway:
        ada = gateway.client()
        await ada.sign_in("ada")
        gateway.forget_peak_memory()
        before = gateway.peak_memory()
        async with await RawClient.connect(gateway.port) as client:
            await client.send(ada.request("GET /download", {}))
            assert (await client.answer(to_head=True)).status == 200
            left = 2**30
            while left:
                left -= len(await client.reader.read(MIB))
        assert gateway.peak_memory() - before < ALLOWED


SAID = ["WRONG-PASSWORD", "APP-COOKIE", "IN-THE-BODY", "IN-A-HEADER"]


async def a_day_with_ada(ada: Client, app: Recorder) -> tuple[set[str], list[str]]:
    """The cookies that she gets, and the codes that she gives; on the way she says what is in SAID."""
    cookies: set[str] = set()
    wrong = {"subject": "ada", "password": "WRONG-PASSWORD"}
    assert (await ada.call("POST /.watchword/api/sign-in", wrong)).status == 401
    form = {"subject": "ada", "password": PASSWORD, "return_to": "/mine?q=IN-THE-QUERY"}
    assert (await ada.visit("POST /.watchword/sign-in", form)).status == 303
    cookies |= {*ada.cookies.values()}

    begun = (await ada.call("POST /.watchword/api/factors", {"label": "Phone"})).json
    ada.setup_key = begun["secret"]
    authenticator = Authenticator(ada.setup_key)
    codes = [await authenticator.code()]
    factor = f"/.watchword/api/factors/{begun['id']}"
    assert (await ada.call(f"POST {factor}/confirm", {"code": codes[0]})).status == 200
    assert (await ada.call(f"DELETE {factor}", headers={"Watchword-Code": codes[0]})).status == 403
    cookies |= {*ada.cookies.values()}

    headers = {"Authorization": "Bearer IN-A-HEADER", "Referer": "http://localhost/?q=IN-THE-QUERY"}
    for path in ("/mine", "/a/../b", "/admin", "/password", "/a%00"):
        await ada.call(f"GET {path}?q=IN-THE-QUERY", headers=headers)
    fields = {"amount": "1", "address": "x", "note": "IN-THE-BODY"}
    parked = await ada.visit("POST /withdrawals", fields, headers=headers)
    codes += [await authenticator.code()]
    step_up = parked.header(b"location")[0].decode()
    assert (await ada.visit(f"POST {step_up}", {"code": codes[1]})).status == 303
    cookies |= {*ada.cookies.values()}
    assert (await ada.visit("GET /withdrawals")).status == 200
    assert (app.requests[-1].line, b"IN-THE-BODY" in app.requests[-1].body) == ("POST /withdrawals", True)
    await ada.visit("POST /withdrawals", fields, headers=headers)  # and this one stays parked
    return cookies, codes


# Nobody is there, so that all that is to be told is still in the store at the end.
MAIL = "{host: localhost, port: 9, security: none, from: a@b.example, user: mailer, password: MAIL-PASSWORD}"
WEBHOOK = f"{{url: 'http://localhost:9/WEBHOOK-PATH', secret: {WEBHOOK_SECRET}}}"
NOTICES = f"address: https://exchange.example, mail: {MAIL}, webhook: {WEBHOOK}"
TELLING = ["MAIL-PASSWORD", "WEBHOOK-PATH", WEBHOOK_SECRET, WEBHOOK_SECRET.removeprefix("whsec_")]


async def test_case_41_no_secret_is_in_the_store_or_the_log(tmp_path: Path, short_path: Path) -> None:
    app = Recorder()
    app.respond = lambda _: b"HTTP/1.1 200 OK\r\nSet-Cookie: app=APP-COOKIE\r\nContent-Length: 0\r\n\r\n"
    with running_server(short_path, *LIKE_OURS) as server:
        async with (
            serving(app) as behind,
            own_process(tmp_path, behind.address, server.url, NOTICES) as gateway,
        ):
            ada = gateway.client()
            cookies, codes = await a_day_with_ada(ada, app)
        async with Redis.from_url(server.url, decode_responses=True) as valkey:
            dump = repr(await contents(valkey))
    log, keys = "".join(gateway.log), json.loads((tmp_path / "data" / "keys.json").read_text())["keys"]
    files = b"".join(file.read_bytes() for file in (short_path / "appendonlydir").iterdir())
    assert ":message:" in dump and "a notice was not sent" in log
    assert '"path": "/withdrawals"' in log and ":challenge:" in dump and b":audit" in files
    seed = base64.b32decode(ada.setup_key)
    seeds = [ada.setup_key, base64.b64encode(seed).decode(), seed.hex()]
    assert "IN-THE-QUERY" not in log  # the store keeps the address to go on to, queries and all
    for where in (log, dump, files.decode("latin-1")):
        secrets = [PASSWORD, *SAID, *TELLING, *seeds, *cookies, *keys.values()]
        assert [secret for secret in secrets if secret in where] == []
        assert [code for code in codes if re.search(rf"(?<![0-9a-f.]){code}(?![0-9a-f])", where)] == []
