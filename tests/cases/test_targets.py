"""Cases 1 to 9: targets that mean one thing to the policy and another to the app behind it."""

from pathlib import Path

import pytest
from support.gateway import POLICY, OpenScene, Scene


async def refused(scene: Scene, target: bytes, statuses: tuple[int, ...] = (400,)) -> None:
    """Nobody gets through with this target, signed in or not."""
    for client in (scene.client(), await scene.signed_in()):
        request = client.request("GET TARGET", {}).replace(b"TARGET", target)
        assert (await client.raw(request)).status in statuses
    assert await scene.seen() == []


@pytest.mark.parametrize(
    "target",
    [
        b"/public/../admin",
        b"/./admin",
        b"//admin",
        b"/public/./../admin",
        b"/public/..",
        b"/public//x",
        b"/public/x//",
    ],
)
async def test_case_01_dot_segments_and_empty_ones(scene: Scene, target: bytes) -> None:
    await refused(scene, target)


@pytest.mark.parametrize(
    "target",
    [
        b"/public/%2e%2e/admin",
        b"/public/.%2E/admin",
        b"/public/%252e%252e/admin",
        b"/public/%25%32%65%25%32%65/admin",
        b"/public/..%2fadmin",
        b"/public%2F..%2Fadmin",
        b"/public/%5cadmin",
        b"/public/..%5Cadmin",
        b"/public\\..\\admin",
        b"\\admin",
    ],
)
async def test_case_02_separators_and_dots_in_disguise(scene: Scene, target: bytes) -> None:
    await refused(scene, target)


@pytest.mark.parametrize(
    ("target", "anonymous", "signed_in"),
    [
        ("/admin", 403, 403),
        ("/admin/", 403, 403),
        ("/%61dmin", 403, 403),
        ("/%61%64%6D%69%6e/", 403, 403),
        ("/admin?", 403, 403),
        ("/admin.", 401, 200),
        ("/ADMIN", 401, 200),
        ("/adm%C4%B1n", 401, 200),
        ("/admin/x", 401, 200),
    ],
)
async def test_case_03_the_neighbourhood_of_a_protected_path(
    scene: Scene, target: str, anonymous: int, signed_in: int
) -> None:
    assert (await scene.client().call(f"GET {target}")).status == anonymous
    ada = await scene.signed_in()
    assert (await ada.call(f"GET {target}")).status == signed_in
    assert await scene.seen() == ([f"GET {target}"] if signed_in == 200 else [])


async def test_case_03_what_is_forwarded_is_what_was_matched(scene: Scene) -> None:
    ada = await scene.signed_in()
    await ada.call("GET /%6eotes/%7Ea%2a%c3%a9?q=%2e%2E&")
    assert await scene.seen() == ["GET /notes/~a%2A%C3%A9?q=%2e%2E&"]


@pytest.mark.parametrize(
    "target",
    [
        b"/admin%00",
        b"/public/%0d%0aX:1",
        b"/admin;x",
        b"/public;/admin",
        b"/public/%3B",
        b"/%zz",
        b"/public/%",
        b"/public/%f",
        b"/public/%ff",
        b"/public/%c0%ae%c0%ae/admin",
        b"/public/%ed%a0%80",
        b"/public/\xff",
        b"/public/\xc3\xa9",
        b"/public/x\x00",
        b"/public/x\t",
    ],
)
async def test_case_04_octets_that_two_programs_read_in_two_ways(scene: Scene, target: bytes) -> None:
    await refused(scene, target)


@pytest.mark.parametrize("target", [b"/public#/admin", b"/public/#/../admin", b"/public/x?q#/admin"])
async def test_case_05_a_fragment(scene: Scene, target: bytes) -> None:
    await refused(scene, target)


@pytest.mark.parametrize("target", ["/account?x=/public", "/account?/public/", "/account?#"])
async def test_case_05_a_query_is_no_path(scene: Scene, target: str) -> None:
    answer = await scene.client().call(f"GET {target}")
    assert answer.status == (400 if "#" in target else 401)
    assert await scene.seen() == []


@pytest.mark.parametrize(
    "target",
    [
        b"http://other.example/public/x",
        b"http://localhost/public/x",
        b"HTTP://localhost/public/x",
        b"https://localhost:8443/public/x",
        b"localhost:80",
        b"*",
        b"public/x",
    ],
)
async def test_case_06_targets_that_are_no_paths(scene: Scene, target: bytes) -> None:
    await refused(scene, target, (400, 421))


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("other.example", 421),
        ("localhost.other.example", 421),
        ("xlocalhost", 421),
        ("localhost.", 400),
        ("localhost@other.example", 400),
        ("localhost, other.example", 400),
        ("", 400),
        ("LOCALHOST", 200),
        ("localhost:1234", 200),
    ],
)
async def test_case_06_hosts_of_other_people(scene: Scene, host: str, status: int) -> None:
    assert (await scene.client(authority=host).call("GET /public/x")).status == status
    assert await scene.seen() == (["GET /public/x"] if status == 200 else [])


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PROPFIND", "GET", "DELETE"])
async def test_case_07_other_methods_are_challenged_as_well(scene: Scene, method: str) -> None:
    ada = await scene.signed_in(factor=True)
    for client in (scene.client(), ada):
        answer = await client.call(f"{method} /password")
        assert (answer.status, bool(answer.header(b"www-authenticate"))) == (401, True)
    assert await scene.seen() == []


async def test_case_07_head_is_judged_as_get(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    assert (await ada.call("GET /profile")).status == 401
    assert (await ada.call("HEAD /profile")).status == 401
    assert (await ada.call("OPTIONS /profile")).status == 200
    assert await scene.seen() == ["OPTIONS /profile"]


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("TRACE /public/x", (405,)),
        ("CONNECT localhost:80", (400, 405)),
        ("CONNECT /public/x", (400, 405)),
        ("get /public/x", (400,)),
        ("GeT /public/x", (400,)),
        ("FOO /public/x", (400,)),
    ],
)
async def test_case_07_methods_that_are_never_served(
    scene: Scene, line: str, status: tuple[int, ...]
) -> None:
    ada = await scene.signed_in()
    assert (await ada.call(line)).status in status
    assert await scene.seen() == []


@pytest.mark.parametrize(
    "header",
    [
        "X-HTTP-Method-Override",
        "x-http-method-override",
        "X_HTTP_Method_Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "X.Method.Override",
    ],
)
async def test_case_08_a_method_in_a_header(scene: Scene, header: str) -> None:
    ada = await scene.signed_in(factor=True)
    asked = await ada.call("POST /withdrawals", {"amount": "1", "_method": "GET"}, headers={header: "GET"})
    assert (asked.status, asked.json["action"]) == (401, "approve-transaction")
    assert await scene.seen() == []
    assert (await ada.call("POST /notes", {"text": "hi"}, headers={header: "DELETE"})).status == 200
    assert b"override" not in scene.app.requests[-1].head.lower()
    assert b"method" not in scene.app.requests[-1].head.lower()


async def test_case_08_a_method_in_a_form_or_query(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    asked = await ada.visit("POST /withdrawals?_method=GET", {"_method": "GET", "amount": "1"})
    assert asked.status == 303
    assert asked.header(b"location")[0].startswith(b"/.watchword/step-up/")
    assert await scene.seen() == []


@pytest.mark.parametrize(
    ("unmatched", "anonymous", "signed_in"),
    [("public", 200, 200), ("session", 401, 200), ("device", 401, 200), ("deny", 403, 403)],
)
async def test_case_09_an_unlisted_path(
    open_scene: OpenScene, unmatched: str, anonymous: int, signed_in: int
) -> None:
    async with open_scene(policy=POLICY.replace("unmatched: session", f"unmatched: {unmatched}")) as scene:
        assert (await scene.client().call("GET /unlisted")).status == anonymous
        ada = await scene.signed_in()
        assert (await ada.call("GET /unlisted")).status == signed_in
        assert len(await scene.seen()) == [anonymous, signed_in].count(200)


async def test_case_09_a_faulty_reload_changes_nothing(scene: Scene) -> None:
    policy = scene.policy.read_text()
    opened = policy.replace("unmatched: session", "unmatched: public")
    scene.policy.write_text(opened.replace("need: deny", "need: dney"))
    (fault,) = scene.gateway.reload_policies()
    assert (Path(fault.file).name, fault.line) == (
        scene.policy.name,
        opened[: opened.index("need: deny")].count("\n") + 1,
    )
    assert scene.gateway.health.faults == (fault,)
    assert (await scene.client().call("GET /unlisted")).status == 401
    assert (await scene.client().call("GET /admin")).status == 403

    scene.policy.write_text(opened)
    assert scene.gateway.reload_policies() == ()
    assert scene.gateway.health.faults == ()
    assert (await scene.client().call("GET /unlisted")).status == 200
    assert await scene.seen() == ["GET /unlisted"]
