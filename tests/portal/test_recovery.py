"""Recovery codes on pages: shown once, made anew with a code, and given in place of one."""

import re

import pytest
from redis.asyncio import Redis
from support.gateway import Client, OpenScene, Scene
from support.identity import enrolled_key, snapshot_of
from support.portal import call_of, desk_of, inbound
from support.raw_client import Answer
from support.store import NOW, contents, signed_in

from gateway.identity.step_up import RESUME_SECONDS
from gateway.portal.pages import PAGE_HEADERS, Pages
from gateway.portal.recovery import Recovery
from gateway.portal.static_files import StaticFiles
from gateway.portal.texts import Texts
from gateway.store.opening import Store

OWN = "/.watchword"
SECURITY = f"{OWN}/security"
RENEW = f"{SECURITY}/recovery-codes"
UNKNOWN = "00" + "f" * 30
PAYMENT = {"amount": "12.50", "address": "bc1q"}


def page(answer: Answer, status: int = 200) -> str:
    """The text of a page, which came with all that a page is sent with."""
    assert answer.status == status, answer
    for name, value in PAGE_HEADERS.items():
        assert answer.header(name.lower().encode()) == [value.encode()]
    return answer.body.decode()


def leads_to(answer: Answer) -> str:
    assert answer.status == 303, answer
    return answer.header(b"location")[0].decode()


def codes_in(html: str) -> list[str]:
    return re.findall(r"<code>([0-9A-Z]{4}(?:-[0-9A-Z]{4}){3})</code>", html)


async def asked(client: Client, amount: str = "12.50") -> str:
    """The address of the challenge that a form is answered with."""
    return leads_to(await client.visit("POST /withdrawals", {**PAYMENT, "amount": amount}))


# --- shown once


async def test_new_ones_need_a_code_and_are_shown_once(scene: Scene, valkey: Redis) -> None:
    ada = await scene.signed_in(factor=True)
    before = ada.recovery_codes
    html = page(await ada.visit(f"GET {SECURITY}"))
    assert "10 recovery codes are left." in html
    assert f'action="{RENEW}"' in html
    challenge = leads_to(await ada.visit(f"POST {RENEW}", {}))
    html = page(await ada.visit(f"GET {challenge}"))
    assert "Making new recovery codes" in html
    assert leads_to(await ada.visit(f"POST {challenge}", {"code": ada.next_code()})) == RENEW
    html = page(await ada.visit(f"GET {RENEW}"))
    codes = codes_in(html)
    assert len(set(codes)) == 10
    assert not set(codes) & set(before)
    assert "Save these codes now: they are not shown again." in html
    assert "Recovery codes of Ada for Exchange" in html
    assert "Never share" in html
    assert leads_to(await ada.visit(f"GET {RENEW}")) == SECURITY, "reloaded"
    kept = str(await contents(valkey))
    for code in codes:
        assert code not in kept
        assert code.replace("-", "") not in kept
        assert code not in page(await ada.visit(f"GET {SECURITY}"))


async def test_who_has_no_factor_makes_none(scene: Scene) -> None:
    ada = await scene.signed_in()
    assert "recovery-codes" not in page(await ada.visit(f"GET {SECURITY}"))
    assert leads_to(await ada.visit(f"POST {RENEW}", {})) == SECURITY
    answer = await ada.call(f"POST {OWN}/api/recovery-codes")
    assert (answer.status, answer.json["reason"]) == (401, "factor-missing")


async def test_the_last_one_is_followed_by_advice(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    for left in (9, 8, 7, 6, 5, 4, 3, 2, 1, 0):
        scene.clock.advance(1)
        challenge = await asked(ada, str(left))
        await ada.visit(f"POST {challenge}/recovery", {"recovery_code": ada.recovery_codes.pop()})
        said = {0: "No recovery codes are left.", 1: "1 recovery code is left."}
        html = page(await ada.visit(f"GET {SECURITY}"))
        assert said.get(left, f"{left} recovery codes are left.") in html


# --- given in place of a code


async def test_a_form_that_waited_is_sent_on_the_spot_and_by_no_later_visit(scene: Scene) -> None:
    """Held up on a page between, somebody goes elsewhere, comes back to look, and has sent it unasked."""
    ada = await scene.signed_in(factor=True)
    challenge, before = await asked(ada), ada.session
    html = page(await ada.visit(f"GET {challenge}"))
    assert "Use a recovery code instead" in html
    assert f'action="{challenge}/recovery"' in html
    code = ada.recovery_codes[0].lower().replace("-", " ")
    used = await ada.visit(f"POST {challenge}/recovery", {"recovery_code": code})
    assert leads_to(used) == "/withdrawals"
    assert ada.session != before
    assert await scene.seen() == []
    assert (await ada.visit("GET /withdrawals")).body == b"POST /withdrawals"
    assert (await ada.visit("GET /withdrawals")).body == b"GET /withdrawals"


async def test_a_form_is_not_kept_for_longer_than_after_any_code(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    form = {"recovery_code": ada.recovery_codes[0]}
    leads_to(await ada.visit(f"POST {await asked(ada)}/recovery", form))
    scene.clock.advance(RESUME_SECONDS)
    assert (await ada.visit("GET /withdrawals")).body == b"GET /withdrawals"


async def test_where_nothing_waits_it_is_said_what_the_code_cost(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    challenge = leads_to(await ada.visit("GET /profile"))
    html = page(await ada.visit(f"POST {challenge}/recovery", {"recovery_code": ada.recovery_codes[0]}))
    assert "9 recovery codes are left." in html
    assert 'href="/profile"' in html
    assert f'href="{SECURITY}/move"' in html, "the way to a new phone"
    assert (await ada.visit("GET /profile")).body == b"GET /profile"


async def test_the_same_again_asks_for_nothing_again(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    challenge = await asked(ada)
    form = {"recovery_code": ada.recovery_codes[0]}
    assert leads_to(await ada.visit(f"POST {challenge}/recovery", form)) == "/withdrawals"
    assert leads_to(await ada.visit(f"POST {challenge}/recovery", form)) == challenge
    assert leads_to(await ada.visit(f"GET {challenge}/recovery")) == challenge
    assert "This request is over" in page(await ada.visit(f"GET {challenge}"), status=410)
    assert "9 recovery codes are left." in page(await ada.visit(f"GET {SECURITY}"))


async def test_a_refused_one_shows_the_page_again(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    challenge = await asked(ada)
    for number in range(6):
        answer = await ada.visit(f"POST {challenge}/recovery", {"recovery_code": f"wrong {number}"})
        late = number == 5
        html = page(answer, status=429 if late else 403)
        (said,) = re.findall(r'role="alert"[^>]*>([^<]*)<', html)
        assert ("Too many attempts. Wait" if late else "it was used already") in said
        assert "12.50" in html
        assert '<details class="help" open>' in html
    assert await scene.seen() == []


async def test_where_it_is_not_enough_the_page_says_what_to_do(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    challenge = leads_to(await ada.visit(f"POST {RENEW}", {}))
    html = page(await ada.visit(f"GET {challenge}"))
    assert "A recovery code is not enough to take protection away" in html
    assert f"{challenge}/recovery" not in html
    answer = await ada.visit(f"POST {challenge}/recovery", {"recovery_code": ada.recovery_codes[0]})
    assert "A recovery code is not enough to take protection away" in page(answer, status=403)
    assert "10 recovery codes are left." in page(await ada.visit(f"GET {SECURITY}"))


async def test_a_challenge_of_nobody_or_somebody_else_is_over(scene: Scene) -> None:
    ada, eve = await scene.signed_in(factor=True), await scene.signed_in("eve", factor=True)
    form = {"recovery_code": ada.recovery_codes[0]}
    for challenge in (await asked(eve), f"{OWN}/step-up/{UNKNOWN}", f"{OWN}/step-up/x"):
        assert leads_to(await ada.visit(f"POST {challenge}/recovery", form)) == challenge
    assert leads_to(await scene.client().visit(f"POST {challenge}/recovery", form)) == f"{OWN}/sign-in"


@pytest.mark.parametrize("body", [{"recovery_code": 1}, {"recovery_code": None}, {}])
async def test_a_recovery_code_is_text(scene: Scene, body: object) -> None:
    ada = await scene.signed_in(factor=True)
    challenge = await ada.call("POST /api/transfers", PAYMENT)
    answer = await ada.call(f"POST {challenge.json['answer']}", body)
    assert (answer.status, answer.json["reason"]) == (400, "body-unreadable")


async def test_a_new_factor_by_a_recovery_code_is_shown_as_on_trial(open_scene: OpenScene) -> None:
    async with open_scene(recovery={"waiting": 86_400}) as scene:
        ada = await scene.signed_in(factor=True)
        challenge = leads_to(await ada.visit(f"POST {SECURITY}/factors", {"label": "New"}))
        used = await ada.visit(f"POST {challenge}/recovery", {"recovery_code": ada.recovery_codes[0]})
        assert leads_to(used) == f"{SECURITY}/factors"
        set_up = leads_to(await ada.visit(f"GET {SECURITY}/factors"))
        key = re.findall(r"<code.*?</code>", page(await ada.visit(f"GET {set_up}")), re.DOTALL)[0]
        ada.setup_key = re.sub(r"<[^>]*>|\s", "", key)
        confirmed = leads_to(await ada.visit(f"POST {set_up}/confirm", {"code": ada.code()}))
        assert confirmed == f"{SECURITY}?notice=factor-on-trial"
        html = page(await ada.visit(f"GET {confirmed}"))
        assert "It was set up with a recovery code" in html
        assert html.count(">On trial<") == 1
        assert "On trial until" in html
        (remove,) = [r for r in re.findall(r'action="([^"]*/remove)"', html) if set_up not in r]
        refused = page(await ada.visit(f"POST {remove}", {"code": ada.next_code()}), status=403)
        assert "It can in 24 hours." in refused
        scene.clock.advance(86_400)
        ada = await signed_in_again(scene, ada)
        assert "On trial" not in page(await ada.visit(f"GET {SECURITY}"))
        removed = await ada.visit(f"POST {remove}", {"code": ada.code()})
        assert leads_to(removed) == f"{SECURITY}?notice=factor-removed"


async def signed_in_again(scene: Scene, client: Client) -> Client:
    newer = await scene.signed_in()
    newer.setup_key = client.setup_key
    return newer


async def test_a_page_whose_session_ended_meanwhile_is_asked_for_afresh(store: Store) -> None:
    started, desk = await signed_in(store), desk_of(store)
    await enrolled_key(desk.second_factor, store, started.cookie)
    person = await snapshot_of(store, started.cookie)
    await store.revocations.account("ada", reason="test", actor="test", now=NOW)
    topic = Recovery(desk, Pages(StaticFiles.load(), Texts.load("en")))
    answer = await topic.renew(call_of(inbound(), person))
    assert (answer.status, answer.headers["Location"]) == (303, SECURITY)
    assert await store.recovery_codes.left("ada") == 0
