"""The person's own switches (F1, F8): what they list, what they ask for, what they leave alone."""

import re
from dataclasses import replace
from typing import Any

import pytest
from support.gateway import POLICY, Client, OpenScene, Scene
from support.raw_client import Answer

from gateway.core.policy.matching import PolicySet
from gateway.core.policy.model import Action, App, Need, Protect
from gateway.core.records import Account
from gateway.portal.protection import find_protection, protections_of

PAGE, FORM = "/.watchword/security", "/.watchword/security/protection"
API = "/.watchword/api/protection"
ADA = Account("ada", "Ada", "", frozenset(), disabled=False, epoch=1, confirmed_factors=1)
OFF_SIGN_IN = {"app": "exchange", "action": "sign-in", "on": False}
ON_SIGN_IN = {**OFF_SIGN_IN, "on": True}
OFF_PROFILE = {**OFF_SIGN_IN, "action": "manage-profile"}
WITH_NEVER = POLICY.replace(
    "approve-order: {title: Approving an order, protect: always", "approve-order: {protect: never"
)


def action(app: str, name: str, protect: Protect, *, on: bool = False) -> Action:
    return Action(app, name, name.title(), protect, on_by_default=on)


def app(name: str, *actions: Action) -> App:
    return App(name, "", name.title(), (), (), Need.SESSION, actions={found.name: found for found in actions})


APPS = (
    app(
        "exchange",
        action("exchange", "sign-in", Protect.BY_CHOICE),
        action("exchange", "approve", Protect.ALWAYS),
        action("exchange", "read", Protect.NEVER, on=True),
    ),
    app("wiki", action("wiki", "sign-in", Protect.BY_CHOICE, on=True)),
)


POLICIES = PolicySet(APPS)


def listed(account: Account) -> list[tuple[str, bool, bool]]:
    found = protections_of(account, POLICIES)
    return [(each.action.key, each.on, each.locked) for each in found if each.app in APPS]


def test_every_app_is_listed_but_for_what_is_never_protected() -> None:
    assert listed(ADA) == [
        ("exchange/sign-in", False, False),
        ("exchange/approve", True, True),
        ("wiki/sign-in", True, False),
    ]


def test_it_says_what_holds_for_this_person() -> None:
    chosen = replace(
        ADA, choices={"exchange/sign-in": True, "exchange/approve": False, "wiki/sign-in": False}
    )
    assert [on for _, on, _ in listed(chosen)] == [True, True, False]
    assert [on for _, on, _ in listed(replace(chosen, confirmed_factors=0))] == [False, True, False]


@pytest.mark.parametrize(
    ("app_name", "name", "found"),
    [
        ("wiki", "sign-in", True),
        ("exchange", "approve", True),
        ("exchange", "read", False),
        ("wiki", "approve", False),
        ("", "", False),
        ("account", "remove-factor", True),
        ("account", "sign-in", False),  # every app has its own
    ],
)
def test_one_is_found_by_both_names(app_name: str, name: str, found: bool) -> None:
    assert (find_protection(ADA, POLICIES, app_name, name) is not None) is found


# --- by JSON


async def states(client: Client, app: str = "exchange") -> dict[str, bool]:
    answer = await client.call(f"GET {API}")
    assert answer.status == 200, answer
    return {entry["action"]: entry["on"] for entry in answer.json if entry["app"] == app}


def problem(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["reason"]


async def with_code(client: Client, body: object) -> Answer:
    """Ask for a switch, answer the challenge, and ask again."""
    asked = await client.call(f"PUT {API}", body)
    assert problem(asked) == (401, "code-needed"), asked
    assert (await client.answer(asked)).status == 200
    return await client.call(f"PUT {API}", body)


async def events(scene: Scene) -> list[tuple[str, str]]:
    entries = await scene.gateway.store.audit.latest("ada")
    return [(entry.event, entry.reason) for entry in entries if entry.event.startswith("protection")]


async def test_the_list(open_scene: OpenScene) -> None:
    async with open_scene(policy=WITH_NEVER) as scene:
        ada = await scene.signed_in(factor=True)
        entries = (await ada.call(f"GET {API}")).json
        assert entries[0] == {
            "app": "exchange",
            "action": "sign-in",
            "title": "Signing in",
            "protect": "by-choice",
            "on": False,
            "locked": False,
        }
        assert {f"{entry['app']}/{entry['action']}": (entry["on"], entry["locked"]) for entry in entries} == {
            "exchange/sign-in": (False, False),
            "exchange/change-password": (True, True),
            "exchange/manage-profile": (True, False),
            "exchange/approve-transaction": (True, True),
            "account/change-password": (True, False),
            "account/manage-profile": (True, False),
            "account/add-factor": (True, True),
            "account/remove-factor": (True, True),
            "account/manage-protection": (True, True),
            "account/renew-recovery-codes": (True, True),
        }


async def test_a_switch_asks_for_a_code_of_its_own_and_says_what_for(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    asked = await ada.call(f"PUT {API}", OFF_PROFILE)
    assert problem(asked) == (401, "code-needed")
    assert b'acr_values="otp"' in asked.header(b"www-authenticate")[0]
    assert asked.json["action"] == "manage-protection"
    assert asked.json["approves"] == [
        {"label": "App", "value": "exchange"},
        {"label": "Action", "value": "manage-profile"},
        {"label": "Ask for a code", "value": "false"},
    ]
    assert (await states(ada))["manage-profile"]
    assert problem(await ada.call("GET /profile")) == (401, "code-needed")

    assert (await ada.answer(asked)).status == 200
    done = await ada.call(f"PUT {API}", OFF_PROFILE)
    assert (done.status, done.json["on"], done.json["locked"]) == (200, False, False)
    assert not (await states(ada))["manage-profile"]
    assert (await ada.call("GET /profile")).status == 200
    assert await events(scene) == [("protection-off", "exchange/manage-profile")]


async def test_the_code_of_one_switch_is_for_no_other_and_for_no_second_time(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    assert (await ada.answer(await ada.call(f"PUT {API}", ON_SIGN_IN))).status == 200
    for other in (OFF_PROFILE, OFF_SIGN_IN, {**ON_SIGN_IN, "app": "exchange "}):
        assert problem(await ada.call(f"PUT {API}", other)) == (401, "code-needed"), other
    stolen = await scene.signed_in()
    assert problem(await stolen.call(f"PUT {API}", ON_SIGN_IN)) == (401, "code-needed")
    assert await events(scene) == []
    assert (await ada.call(f"PUT {API}", ON_SIGN_IN)).status == 200
    assert problem(await ada.call(f"PUT {API}", ON_SIGN_IN)) == (401, "code-needed")  # a replay


async def test_a_stolen_session_switches_nothing_without_a_code(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    stolen = ada.with_cookies(session=ada.session)
    for code in (ada.code(), ada.wrong_code(), "", "123"):
        answer = await stolen.call(f"PUT {API}", OFF_PROFILE, headers={"Watchword-Code": code})
        assert answer.status in (403, 422), code
    assert (await states(ada))["manage-profile"]


async def test_a_switch_is_for_ones_own_account(scene: Scene) -> None:
    ada, bob = await scene.signed_in(factor=True), await scene.signed_in("bob", factor=True)
    challenge = await ada.call(f"PUT {API}", OFF_PROFILE)
    assert problem(await bob.answer(challenge)) == (410, "challenge-expired")
    bob.setup_key = ada.setup_key  # somebody who saw ada's codes has still bob's session
    assert problem(await bob.answer(await bob.call(f"PUT {API}", OFF_PROFILE))) == (403, "wrong-code")
    assert (await with_code(ada, OFF_PROFILE)).status == 200
    assert ((await states(ada))["manage-profile"], (await states(bob))["manage-profile"]) == (False, True)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({**OFF_SIGN_IN, "action": "approve-transaction"}, (403, "protection-locked")),
        ({**ON_SIGN_IN, "action": "approve-transaction"}, (403, "protection-locked")),
        ({**OFF_SIGN_IN, "action": "approve-order"}, (404, "not-found")),
        ({**OFF_SIGN_IN, "action": "Sign-in"}, (404, "not-found")),
        ({**OFF_SIGN_IN, "app": "account", "action": "remove-factor"}, (403, "protection-locked")),
        ({**OFF_SIGN_IN, "app": "account", "action": "manage-protection"}, (403, "protection-locked")),
        ({**OFF_SIGN_IN, "on": "no"}, (400, "body-unreadable")),
        ({**OFF_SIGN_IN, "on": 0}, (400, "body-unreadable")),
        ({**OFF_SIGN_IN, "on": None}, (400, "body-unreadable")),
        ({"action": "sign-in", "on": False}, (400, "body-unreadable")),
        ({**OFF_SIGN_IN, "action": ["sign-in"]}, (400, "body-unreadable")),
    ],
    ids=str,
)
async def test_what_is_no_switch_of_theirs(
    open_scene: OpenScene, body: dict[str, Any], expected: tuple[int, str]
) -> None:
    async with open_scene(policy=WITH_NEVER) as scene:
        ada = await scene.signed_in(factor=True)
        before = await states(ada)
        assert problem(await with_code(ada, body)) == expected
        assert (await states(ada), await events(scene)) == (before, [])


async def test_switching_needs_a_factor(scene: Scene) -> None:
    ada = await scene.signed_in()
    assert await states(ada) == {
        "sign-in": False,
        "manage-profile": False,
        "change-password": True,
        "approve-order": True,
        "approve-transaction": True,
    }
    for body in (ON_SIGN_IN, OFF_PROFILE):
        refused = await ada.call(f"PUT {API}", body)
        assert problem(refused) == (401, "factor-missing")
        assert refused.json["set_up"] == PAGE
    assert await events(scene) == []
    await ada.enrol()
    assert await states(ada) == {name: name != "sign-in" for name in await states(ada)}


async def test_signing_in_asks_for_a_code_once_it_is_switched_on_but_not_twice_here(scene: Scene) -> None:
    ada, elsewhere = await scene.signed_in(factor=True), await scene.signed_in()
    before = ada.session
    done = await ada.call(f"PUT {API}", ON_SIGN_IN, headers={"Watchword-Code": ada.next_code()})
    assert (done.status, done.json["on"]) == (200, True)
    assert ada.session != before, "what brings proof brings a new id"
    assert (await ada.call("GET /")).status == 200
    asked = await elsewhere.call("GET /")
    assert (problem(asked), asked.json["action"]) == ((401, "code-needed"), "sign-in")
    old = ada.with_cookies(session=before)
    assert problem(await old.call("GET /")) == (401, "code-needed")
    scene.clock.advance(10)
    assert problem(await old.call("GET /")) == (401, "no-session")
    assert (await with_code(ada, OFF_SIGN_IN)).status == 200
    assert (await elsewhere.call("GET /")).status == 200


async def test_a_policy_that_is_made_stricter_overrules_a_choice(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    assert (await with_code(ada, OFF_PROFILE)).status == 200
    stricter = scene.policy.read_text().replace(
        "profile, protect: by-choice, default: on", "profile, protect: always"
    )
    scene.policy.write_text(stricter)
    assert scene.gateway.reload_policies() == ()
    assert (await states(ada))["manage-profile"]
    assert problem(await ada.call("GET /profile")) == (401, "code-needed")
    assert problem(await with_code(ada, OFF_PROFILE)) == (403, "protection-locked")


# --- by the page


def shown(answer: Answer) -> str:
    assert answer.status == 200, answer
    return answer.body.decode()


def leads_to(answer: Answer) -> str:
    assert answer.status == 303, answer
    return answer.header(b"location")[0].decode()


def switches(html: str) -> dict[str, dict[str, str]]:
    """What each form of the page sends, by action; those of the account's own after a slash."""
    forms = re.findall(rf'<form method="post" action="{FORM}">(.*?)</form>', html, re.DOTALL)
    sent = [dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)) for form in forms]
    return {("/" if f["app"] == "account" else "") + f["action"]: f for f in sent}


async def press(client: Client, name: str) -> Answer:
    """Press a switch of the page, type the code, and follow the way back to what was asked for."""
    form = switches(shown(await client.visit(f"GET {PAGE}")))[name]
    challenge = leads_to(await client.visit(f"POST {FORM}", form))
    html = shown(await client.visit(f"GET {challenge}"))
    assert "Changing your protection" in html
    assert leads_to(await client.visit(f"POST {challenge}", {"code": client.next_code()})) == FORM
    return await client.visit(f"GET {FORM}")


async def test_the_switches_of_the_page(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    html = shown(await ada.visit(f"GET {PAGE}"))
    assert {name: form["on"] for name, form in switches(html).items()} == {
        "sign-in": "yes",
        "manage-profile": "no",
        "/change-password": "no",
        "/manage-profile": "no",
    }
    assert html.count("Always on") == 7
    assert "We advise against" in html
    for name, on in (("sign-in", True), ("manage-profile", False), ("sign-in", False)):
        answer = await press(ada, name)
        query = f"app=exchange&action={name}"
        assert leads_to(answer) == f"{PAGE}?notice=protection-{'on' if on else 'off'}&{query}"
        assert (await states(ada))[name] is on
        (said,) = re.findall(r'role="status">([^<]*)<', shown(await ada.visit(f"GET {leads_to(answer)}")))
        title = {"sign-in": "Signing in", "manage-profile": "Managing your profile"}[name]
        assert f"{title} (Exchange)." in said
        wrong = f"GET {PAGE}?notice=protection-{'off' if on else 'on'}&{query}"
        assert 'role="status"' not in shown(await ada.visit(wrong)), "an address says nothing untrue"
        assert leads_to(await ada.visit(f"GET {FORM}")) == PAGE  # a reload does nothing again
    assert [event for event, _ in await events(scene)] == [
        "protection-off",
        "protection-off",
        "protection-on",
    ]


@pytest.mark.parametrize("query", ["", "&app=exchange", "&app=exchange&action=gone", "&app=x&action=sign-in"])
async def test_a_notice_about_no_switch_is_none(scene: Scene, query: str) -> None:
    ada = await scene.signed_in(factor=True)
    html = shown(await ada.visit(f"GET {PAGE}?notice=protection-on{query}"))
    assert 'role="status"' not in html


async def test_without_a_factor_the_page_offers_to_set_one_up(scene: Scene) -> None:
    ada = await scene.signed_in()
    html = shown(await ada.visit(f"GET {PAGE}"))
    assert switches(html) == {}
    assert "Set up an authenticator app first." in html
    form = {"app": "exchange", "action": "sign-in", "on": "yes"}
    needed = leads_to(await ada.visit(f"POST {FORM}", form))
    assert "Set up an authenticator app" in shown(await ada.visit(f"GET {needed}"))
    assert await events(scene) == []


@pytest.mark.parametrize(
    "form",
    [
        {"app": "exchange", "action": "approve-transaction", "on": "no"},
        {"app": "exchange", "action": "gone", "on": "no"},
        {"app": "exchange", "action": "manage-profile", "on": "maybe"},
    ],
    ids=str,
)
async def test_a_form_that_the_page_does_not_have(scene: Scene, form: dict[str, str]) -> None:
    ada = await scene.signed_in(factor=True)
    before = await states(ada)
    challenge = leads_to(await ada.visit(f"POST {FORM}", form))
    await ada.visit(f"POST {challenge}", {"code": ada.next_code()})
    answer = await ada.visit(f"GET {FORM}")
    assert (answer.status, answer.header(b"location")) in ((303, [PAGE.encode()]), (400, []))
    assert (await states(ada), await events(scene)) == (before, [])
