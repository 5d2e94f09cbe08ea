"""The profile: how a person is called, and where to write to them."""

import re

import pytest
from support.gateway import Client, OpenScene, Scene
from support.raw_client import Answer
from support.store import NOW

PAGE, API = "/.watchword/profile", "/.watchword/api/profile"
SECURITY = "/.watchword/security"


def problem(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["reason"]


def leads_to(answer: Answer) -> str:
    assert answer.status == 303, answer
    return answer.header(b"location")[0].decode()


async def shown(client: Client) -> tuple[str, str]:
    answer = await client.call(f"GET {API}")
    assert answer.status == 200, answer
    return answer.json["name"], answer.json["email"]


async def events(scene: Scene) -> list[tuple[str, str]]:
    entries = await scene.gateway.store.audit.latest("ada")
    return [(entry.event, entry.reason) for entry in entries if entry.event == "profile-changed"]


@pytest.mark.parametrize(("rule", "told"), [("private", []), ("shared", ["king@example.org"])])
async def test_a_change_is_what_apps_are_told_but_for_an_address_that_nobody_vouches_for(
    open_scene: OpenScene, rule: str, told: list[str]
) -> None:
    """Else whoever names somebody else's address is taken for them by an app that goes by addresses."""
    async with open_scene(profile={"email": rule}) as scene:
        ada = await scene.signed_in()
        assert (await ada.call("GET /orders-of-mine")).status == 200
        assert scene.app.requests[-1].header("remote-email") == ["ada@example.org"]
        await _change_all(scene, ada, told)


async def _change_all(scene: Scene, ada: Client, told: list[str]) -> None:
    changed = await ada.call(f"PUT {API}", {"name": "Ada King", "email": "king@example.org"})
    assert (changed.status, changed.json) == (
        200,
        {"subject": "ada", "name": "Ada King", "email": "king@example.org"},
    )
    assert await shown(ada) == ("Ada King", "king@example.org")
    assert (await ada.call("GET /orders-of-mine")).status == 200
    received = scene.app.requests[-1]
    assert received.header("remote-name") == ["Ada King"]
    assert received.header("remote-email") == told
    assert await events(scene) == [("profile-changed", "name and e-mail")]


async def test_what_is_left_out_stays(scene: Scene) -> None:
    ada = await scene.signed_in()
    assert (await ada.call(f"PUT {API}", {"name": " Ada King "})).json["email"] == "ada@example.org"
    assert (await ada.call(f"PUT {API}", {"email": "king@example.org"})).json["name"] == "Ada King"
    assert await events(scene) == [("profile-changed", "e-mail"), ("profile-changed", "name")]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"name": "A\nB"}, (422, "unfit-name")),
        ({"name": "x" * 101}, (422, "unfit-name")),
        ({"email": "ada"}, (422, "unfit-email")),
        ({"email": "a@b.org\r\nBcc: c@d.org"}, (422, "unfit-email")),
        ({"email": ""}, (422, "unfit-email")),  # or nobody could be told of anything any more
        ({"name": 1}, (400, "body-unreadable")),
        ({"email": None}, (400, "body-unreadable")),
    ],
    ids=str,
)
async def test_what_cannot_be_is_refused_and_changes_nothing(
    scene: Scene, body: dict[str, object], expected: tuple[int, str]
) -> None:
    ada = await scene.signed_in()
    assert problem(await ada.call(f"PUT {API}", body)) == expected
    assert await shown(ada) == ("Ada", "ada@example.org")
    assert await events(scene) == []


async def test_whoever_has_a_factor_gives_a_code_by_page_and_by_call(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    stolen = ada.with_cookies(session=ada.session)
    asked = await stolen.call(f"PUT {API}", {"email": "eve@example.org"})
    assert (problem(asked), asked.json["action"]) == ((401, "code-needed"), "manage-profile")
    form = {"name": "Eve", "email": "eve@example.org"}
    challenge = leads_to(await ada.visit(f"POST {PAGE}", form))
    assert challenge.startswith("/.watchword/step-up/")
    assert await shown(ada) == ("Ada", "ada@example.org")
    assert leads_to(await ada.visit(f"POST {challenge}", {"code": ada.next_code()})) == PAGE
    assert leads_to(await ada.visit(f"GET {PAGE}")) == f"{PAGE}?notice=profile-changed"
    assert await shown(ada) == ("Eve", "eve@example.org")
    again = await ada.call(f"PUT {API}", {"name": "Ada"})
    assert again.status == 200, "the code counts for a while"


async def test_the_switch_of_it_is_the_persons(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    off = {"app": "account", "action": "manage-profile", "on": False}
    code = {"Watchword-Code": ada.next_code()}
    assert (await ada.call("PUT /.watchword/api/protection", off, headers=code)).status == 200
    assert (await ada.call(f"PUT {API}", {"name": "Ada King"})).status == 200


async def test_a_floor_of_a_group_is_below_no_switch(open_scene: OpenScene) -> None:
    async with open_scene() as scene:
        (scene.policy.parent / "account.yaml").write_text(
            "app: account\nactions: {manage-profile: {protect: by-choice, always-for: [staff]}}\n"
        )
        assert scene.gateway.reload_policies() == ()
        ada, bob = await scene.signed_in(factor=True, groups=("staff",)), await scene.signed_in("bob")
        off = {"app": "account", "action": "manage-profile", "on": False}
        code = {"Watchword-Code": ada.next_code()}
        refused = await ada.call("PUT /.watchword/api/protection", off, headers=code)
        assert problem(refused) == (403, "protection-locked")
        assert problem(await ada.call(f"PUT {API}", {"name": "X"})) == (401, "code-needed")
        assert (await bob.call(f"PUT {API}", {"name": "X"})).status == 200
        html = (await ada.visit(f"GET {SECURITY}")).body.decode()
        assert not re.search(r'name="app" value="account">\s*<input[^>]* value="manage-profile"', html)


async def test_where_addresses_are_fixed_only_the_name_changes(open_scene: OpenScene) -> None:
    async with open_scene(profile={"email": "fixed"}) as scene:
        ada = await scene.signed_in()
        assert problem(await ada.call(f"PUT {API}", {"email": "king@example.org"})) == (403, "email-fixed")
        assert (await ada.call(f"PUT {API}", {"name": "Ada King", "email": "ada@example.org"})).status == 200
        assert await shown(ada) == ("Ada King", "ada@example.org")
        html = (await ada.visit(f"GET {PAGE}")).body.decode()
        assert "readonly" in html and "Only the people who run this site" in html


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("x" * 101, "That name is too long: it may have at most 100 characters."),
        ("A\u200bB", "That cannot be a name: U+200B in it"),
        ("A\nB", "That cannot be a name: U+000A in it"),
    ],
)
async def test_it_is_said_what_is_wrong_with_a_name(scene: Scene, name: str, said: str) -> None:
    ada = await scene.signed_in()
    answer = await ada.visit(f"POST {PAGE}", {"name": name, "email": "ada@example.org"})
    assert (answer.status, said in answer.body.decode()) == (422, True)
    assert (await ada.call(f"PUT {API}", {"name": name})).json["detail"].startswith(said)


@pytest.mark.parametrize("name", ["Ada 🚀", "👩\u200d💻 Ada", "Zoë \U0001fae9"])
async def test_a_name_with_emoji_reaches_apps_as_it_is(scene: Scene, name: str) -> None:
    ada = await scene.signed_in()
    assert (await ada.call(f"PUT {API}", {"name": name})).status == 200
    assert (await ada.call("GET /")).status == 200
    (told,) = scene.app.requests[-1].header("remote-name")
    assert told.encode("latin-1").decode() == name


async def test_without_a_name_apps_know_the_account_only(scene: Scene) -> None:
    ada = await scene.signed_in()
    form = {"name": "", "email": "ada@example.org"}
    assert leads_to(await ada.visit(f"POST {PAGE}", form)) == f"{PAGE}?notice=profile-changed"
    assert (await ada.call("GET /")).status == 200
    assert scene.app.requests[-1].header("remote-name") == []


@pytest.mark.parametrize("mail", [True, False])
async def test_mails_are_promised_only_where_they_are_sent(open_scene: OpenScene, mail: bool) -> None:
    server = {"host": "127.0.0.1", "port": 9, "security": "none", "from": "Watchword <w@example.org>"}
    notices = {"address": "http://localhost", "mail": server} if mail else {}
    async with open_scene(notices=notices) as scene:
        ada = await scene.signed_in()
        html = (await ada.visit(f"GET {PAGE}")).body.decode()
        assert ("we tell the old address as well" in html) is mail
        assert ("Where you can be reached." in html) is not mail


async def test_the_page_shows_what_was_typed_and_what_is_wrong_with_it(scene: Scene) -> None:
    ada = await scene.signed_in()
    answer = await ada.visit(f"POST {PAGE}", {"name": "<Ada>", "email": "nowhere"})
    html = answer.body.decode()
    assert answer.status == 422
    assert 'value="&lt;Ada&gt;"' in html and 'value="nowhere"' in html
    assert "That cannot be an e-mail address" in html
    assert await shown(ada) == ("Ada", "ada@example.org")


async def test_a_session_that_ended_meanwhile_changes_nothing(scene: Scene) -> None:
    await scene.signed_in()
    store = scene.gateway.store
    [session] = await store.sessions.list("ada")
    await store.revocations.account("ada", reason="test", actor="test", now=NOW)
    for session_id in (session.id, "0" * 32, "none"):
        changed = await store.accounts.change_profile(
            session_id, name="E", email="e@e.org", vouched=True, now=NOW
        )
        assert changed is None
    account = await store.accounts.find("ada")
    assert account is not None and account.name == "Ada"
