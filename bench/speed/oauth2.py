"""oauth2-proxy with its sessions in Redis, which also knows who is asking: the nearest to Watchword.

It is a Go program without a wheel, so it takes part where `make bench` could build it. Somebody signs in to
it through an OpenID provider of our own, by following its redirects as a browser does.
"""

import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import jwt
from aiohttp import ClientSession, CookieJar, web
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from bench.speed import machine
from bench.speed.programs import PEERS
from bench.speed.proxies import Proxy
from gateway.store.embedded import server_binary

PROGRAM = PEERS / "oauth2-proxy"
NOT_HERE = "oauth2-proxy takes no part: building it takes a go toolchain"
USER = "ada"
_CLIENT = "bench"
_COOKIE = "_oauth2_proxy"
_DAY = 86400


@asynccontextmanager
async def running(folder: Path, upstream: int) -> AsyncIterator[Proxy]:
    """oauth2-proxy and its Redis on the proxy's core, with a signed-in person's cookie for its load."""
    port, redis_port = machine.free_port(), machine.free_port()
    log = folder / "oauth2_proxy.log"
    redis = [server_binary(), "--port", str(redis_port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
    async with AsyncExitStack() as stack:
        issuer = await stack.enter_async_context(_provider())
        store = await stack.enter_async_context(
            machine.running(*redis, core=machine.PROXY_CORE, log=folder / "redis.log")
        )
        await machine.accepting(redis_port, store, folder / "redis.log")
        options = {
            "provider": "oidc",
            "oidc-issuer-url": issuer,
            "client-id": _CLIENT,
            "client-secret": "bench",
            "redirect-url": f"http://127.0.0.1:{port}/oauth2/callback",
            "cookie-secret": "0123456789abcdef0123456789abcdef",
            "cookie-name": _COOKIE,
            "cookie-secure": "false",
            "email-domain": "*",
            "session-store-type": "redis",
            "redis-connection-url": f"redis://127.0.0.1:{redis_port}",
            "http-address": f"127.0.0.1:{port}",
            "upstream": f"http://127.0.0.1:{upstream}/",
            "skip-provider-button": "true",
            "request-logging": "false",
            "auth-logging": "false",
            "standard-logging": "false",
        }
        command = [PROGRAM, *(f"--{name}={value}" for name, value in options.items())]
        process = await stack.enter_async_context(
            machine.running(*command, core=machine.PROXY_CORE, log=log, environment={"GOMAXPROCS": "1"})
        )
        await machine.accepting(port, process, log)
        cookie = await _signed_in(port)
        yield Proxy("oauth2_proxy", port, process.pid, {"Cookie": f"theme=dark; {_COOKIE}={cookie}"}, USER)


async def _signed_in(port: int) -> str:
    """The session cookie of somebody who signs in."""
    jar = CookieJar(unsafe=True)  # it would otherwise keep none of a host that is an address
    async with ClientSession(cookie_jar=jar) as browser:
        async with browser.get(f"http://127.0.0.1:{port}/seen") as answer:
            said = await answer.text()
        cookies = {cookie.key: cookie.value for cookie in jar}
    if said != USER or _COOKIE not in cookies:
        raise machine.NotMeasurable(f"nobody could sign in to oauth2-proxy: {said[:500]}")
    return cookies[_COOKIE]


def _provider_routes(issuer: str) -> list[web.RouteDef]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = {**json.loads(RSAAlgorithm.to_jwk(key.public_key())), "kid": "1", "use": "sig", "alg": "RS256"}
    nonces: dict[str, str] = {}

    async def describe(_: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": issuer,
                "authorization_endpoint": f"{issuer}/authorize",
                "token_endpoint": f"{issuer}/token",
                "jwks_uri": f"{issuer}/keys",
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        )

    async def authorize(request: web.Request) -> web.Response:
        nonces["code"] = request.query.get("nonce", "")
        back = f"{request.query['redirect_uri']}?code=code&state={request.query['state']}"
        raise web.HTTPFound(back)

    async def token(_: web.Request) -> web.Response:
        now = int(time.time())
        claims = {
            **{"iss": issuer, "aud": _CLIENT, "sub": USER, "iat": now, "exp": now + _DAY},
            **{"email": f"{USER}@example.org", "email_verified": True, "nonce": nonces["code"]},
        }
        signed = jwt.encode(claims, key, algorithm="RS256", headers={"kid": "1"})
        answer = {"access_token": "bench", "token_type": "Bearer", "expires_in": _DAY, "id_token": signed}
        return web.json_response(answer)

    async def keys(_: web.Request) -> web.Response:
        return web.json_response({"keys": [public]})

    return [
        web.get("/.well-known/openid-configuration", describe),
        web.get("/authorize", authorize),
        web.post("/token", token),
        web.get("/keys", keys),
    ]


@asynccontextmanager
async def _provider() -> AsyncIterator[str]:
    """An OpenID provider at which everybody is `USER` at once; its address."""
    port = machine.free_port()
    issuer = f"http://127.0.0.1:{port}"
    app = web.Application()
    app.add_routes(_provider_routes(issuer))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield issuer
    finally:
        await runner.cleanup()
