"""The pages: what each shows, where each leads on to, and what it says when something is wrong."""

import re

import pytest
from redis.asyncio import Redis
from support.gateway import PASSWORD, Client, OpenScene, Scene
from support.identity import code_of, enrolled_key, snapshot_of
from support.own_pages import action_of, alert, leads_to, page, what_was_done
from support.portal import call_of, desk_of, inbound
from support.store import NOW, signed_in

from gateway.portal.call import Handler
from gateway.portal.forms import Forms
from gateway.portal.pages import Pages
from gateway.portal.static_files import StaticFiles
from gateway.portal.texts import Texts
from gateway.store.opening import Store

OWN = "/.watchword"
UNKNOWN = "00" + "f" * 30
GOOD = {"subject": "ada", "password": PASSWORD}
PAYMENT = {"amount": "12.50", "address": "bc1q"}


# --- signing in and out


async def test_the_way_in_and_back(scene: Scene) -> None:
    await scene.signed_in()
    browser = scene.client()
    way_in = leads_to(await browser.visit("GET /withdrawals?x=1&y=%20"))
    assert way_in == f"{OWN}/sign-in?return_to=/withdrawals%3Fx%3D1%26y%3D%2520"
    html = page(await browser.visit(f"GET {way_in}"))
    assert "Sign in to Exchange" in html
    assert 'name="return_to" value="/withdrawals?x=1&amp;y=%20"' in html
    form = {**GOOD, "return_to": "/withdrawals?x=1&y=%20"}
    answer = await browser.visit(f"POST {OWN}/sign-in", form)
    assert leads_to(answer) == "/withdrawals?x=1&y=%20"
    assert set(browser.cookies) == {"ww-session", "ww-device"}
    assert (await browser.visit("GET /withdrawals?x=1&y=%20")).status == 200
    assert leads_to(await browser.visit(f"POST {OWN}/sign-in", GOOD)) == "/"


ELSEWHERE = [
    "//e",
    "/\\e",
    "/%09/e",
    "https:e",
    "https://localhost@e",
    "//localhost.e/",
    "/.watchword/sign-out",
    "e",
    "",
]


@pytest.mark.parametrize("return_to", ELSEWHERE)
async def test_no_way_back_to_elsewhere(scene: Scene, return_to: str) -> None:
    await scene.signed_in()
    answer = await scene.client().visit(f"POST {OWN}/sign-in", {**GOOD, "return_to": return_to})
    assert leads_to(answer) == "/"


async def test_a_wrong_password_shows_the_form_again(scene: Scene) -> None:
    await scene.signed_in()
    browser = scene.client()
    for subject in ("ada", 'nobody"><script>'):
        form = {"subject": subject, "password": "wrong-password", "return_to": "/withdrawals"}
        html = page(await browser.visit(f"POST {OWN}/sign-in", form), status=401)
        assert alert(html) == "Account or password is not right. Check both and try again."
        assert 'value="/withdrawals"' in html
        assert (
            f'value="{subject.replace(chr(34), "&#34;").replace("<", "&lt;").replace(">", "&gt;")}"' in html
        )
        assert "wrong-password" not in html
    assert browser.cookies == {}


async def test_too_many_passwords(open_scene: OpenScene) -> None:
    async with open_scene(sign_in={"attempts_by_account": 1, "delay": 600}) as scene:
        await scene.signed_in()
        await scene.client().visit(f"POST {OWN}/sign-in", {**GOOD, "password": "wrong"})
        answer = await scene.client().visit(f"POST {OWN}/sign-in", GOOD)
        assert alert(page(answer, status=429)) == "Too many attempts. Wait 10 minutes, then try again."
        assert answer.header(b"retry-after") == [b"600"]


@pytest.mark.parametrize("form", [{}, {"subject": "ada"}, {"password": "x"}])
async def test_an_incomplete_form(scene: Scene, form: dict[str, str]) -> None:
    answer = await scene.client().visit(f"POST {OWN}/sign-in", form)
    assert "The form could not be read" in page(answer, status=400)


async def test_signing_out(scene: Scene) -> None:
    ada = await scene.signed_in()
    old = ada.with_cookies(session=ada.session)
    for _ in range(2):  # a reload of the answer, too
        assert "You are signed out" in page(await ada.visit(f"POST {OWN}/sign-out", {}))
        assert "ww-session" not in ada.cookies
    assert leads_to(await old.visit("GET /")).startswith(f"{OWN}/sign-in")


async def test_assets(scene: Scene) -> None:
    html = page(await scene.client().visit(f"GET {OWN}/sign-in"))
    (sheet,) = re.findall(r'href="([^"]*\.css[^"]*)"', html)
    found = await scene.client().visit(f"GET {sheet}")
    assert (found.status, found.header(b"content-type")) == (200, [b"text/css; charset=utf-8"])
    known = {"If-None-Match": found.header(b"etag")[0].decode()}
    assert (await scene.client().visit(f"GET {sheet}", headers=known)).status == 304
    assert (await scene.client().visit(f"GET {OWN}/static/base.html")).status == 404


# --- step-up


async def test_a_form_is_parked_and_resumed(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    challenge = leads_to(await ada.visit("POST /withdrawals", PAYMENT))
    html = page(await ada.visit(f"GET {challenge}"))
    for shown in ("Approving a transaction", "12.50", "bc1q", "You have 5 minutes left."):
        assert shown in html
    answer = await ada.visit(f"POST {challenge}", {"code": ada.next_code()})
    assert leads_to(answer) == "/withdrawals"
    assert "ww-resume" in ada.cookies
    assert await scene.seen() == []
    assert (await ada.visit("GET /withdrawals")).body == b"POST /withdrawals"
    assert "ww-resume" not in ada.cookies
    assert (await ada.visit("GET /withdrawals")).body == b"GET /withdrawals"
    assert await scene.seen() == ["POST /withdrawals", "GET /withdrawals"]


async def test_a_page_that_was_asked_for_follows_its_code(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    challenge = leads_to(await ada.visit("GET /password?x=1"))
    answer = await ada.visit(f"POST {challenge}", {"code": ada.next_code()})
    assert leads_to(answer) == "/password?x=1"
    assert (await ada.visit("GET /password?x=1")).status == 200
    # What a page cannot repeat leads to the front page.
    asked = await ada.call("POST /api/transfers", PAYMENT)
    answer = await ada.visit(f"POST {asked.json['step_up']}", {"code": ada.next_code()})
    assert leads_to(answer) == "/"


async def test_a_refused_code_shows_the_page_again(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    challenge = leads_to(await ada.visit("POST /withdrawals", PAYMENT))
    for code, status, said in [
        (ada.wrong_code(), 403, "That code is not right."),
        (ada.code(), 403, "used already"),
        ("12345", 422, "exactly six digits"),
        ("", 422, "exactly six digits"),
        ("x" * 1000, 422, "exactly six digits"),
        (ada.code(), 429, "Too many attempts. Wait 30 seconds"),
    ]:
        html = page(await ada.visit(f"POST {challenge}", {"code": code}), status=status)
        assert said in alert(html)
        assert "12.50" in html
    assert await scene.seen() == []


async def test_a_challenge_that_is_over_says_so(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    answered = leads_to(await ada.visit("POST /withdrawals", PAYMENT))
    await ada.visit(f"POST {answered}", {"code": ada.next_code()})
    foreign = leads_to(await (await scene.signed_in()).visit("GET /password"))
    for address in (answered, foreign, f"{OWN}/step-up/{UNKNOWN}", f"{OWN}/step-up/x"):
        for form in (None, {"code": ada.code()}):
            answer = await ada.visit(f"{'POST' if form else 'GET'} {address}", form)
            assert "This request is over" in page(answer, status=410)


async def test_who_has_no_factor_is_told_what_it_is_needed_for(scene: Scene) -> None:
    ada = await scene.signed_in()
    needed = leads_to(await ada.visit("POST /withdrawals", PAYMENT))
    assert needed == f"{OWN}/factor-needed?action=approve-transaction"
    html = page(await ada.visit(f"GET {needed}"))
    assert "Approving a transaction needs a code" in html
    assert f'href="{OWN}/security"' in html
    for query in ("", "?action=", "?action=nothing", "?action=sign-in&action=sign-in"):
        assert leads_to(await ada.visit(f"GET {OWN}/factor-needed{query}")) == f"{OWN}/security"


# --- factors


async def begun(client: Client, label: str = "My phone") -> str:
    """Begin a factor by the form; the address of its set-up."""
    return leads_to(await client.visit(f"POST {OWN}/security/factors", {"label": label}))


async def test_a_factor_is_set_up(scene: Scene) -> None:
    ada = await scene.signed_in()
    assert "No authenticator app yet" in page(await ada.visit(f"GET {OWN}/security"))
    set_up = await begun(ada, "My <phone>")
    html = page(await ada.visit(f"GET {set_up}"))
    assert "Set up My &lt;phone&gt;" in html
    ada.setup_key = re.sub(r"<[^>]*>|\s", "", re.findall(r"<code.*?</code>", html, re.DOTALL)[0])
    assert f"secret={ada.setup_key}" in html
    assert "Finish set-up" in page(await ada.visit(f"GET {OWN}/security"))

    refused = await ada.visit(f"POST {set_up}/confirm", {"code": ada.wrong_code()})
    html = page(refused, status=403)
    assert "That code is not right" in alert(html)
    assert ada.setup_key in html
    assert ada.setup_key in page(await ada.visit(f"GET {set_up}/confirm"))  # a reload
    before = ada.session
    done = await ada.visit(f"POST {set_up}/confirm", {"code": ada.code()})
    html = page(done)
    assert "Your authenticator app is on." in html
    assert len(re.findall(r"<code>[0-9A-Z-]{19}</code>", html)) == 10  # recovery codes, this once
    assert ada.session != before
    assert leads_to(await ada.visit(f"POST {set_up}/confirm", {"code": ada.code()})) == f"{OWN}/security"
    for over in (set_up, f"{set_up}/confirm"):  # the key is not shown again
        assert leads_to(await ada.visit(f"GET {over}")) == f"{OWN}/security"
    assert leads_to(await ada.visit(f"POST {set_up}/confirm", {"code": "123456"})) == f"{OWN}/security"


async def test_a_set_up_key_is_shown_to_the_session_that_began_it_only(scene: Scene) -> None:
    """Whoever knows only the password waits for the owner's new phone in vain."""
    ada, stranger = await scene.signed_in(), await scene.signed_in()
    set_up = await begun(ada)
    assert leads_to(await stranger.visit(f"GET {set_up}")) == f"{OWN}/security"
    assert leads_to(await stranger.visit(f"POST {set_up}/confirm", {"code": "123456"})) == f"{OWN}/security"
    html = page(await stranger.visit(f"GET {OWN}/security"))
    assert "Set-up not finished" not in html


async def test_another_factor_needs_a_code_first(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    challenge = await begun(ada, "Tablet")
    html = page(await ada.visit(f"GET {challenge}"))
    assert "Adding an authenticator app" in html
    assert f'href="{OWN}/security">Cancel' in html
    answer = await ada.visit(f"POST {challenge}", {"code": ada.next_code()})
    assert leads_to(answer) == f"{OWN}/security/factors"
    set_up = leads_to(await ada.visit(f"GET {OWN}/security/factors"))
    assert "Set up Tablet" in page(await ada.visit(f"GET {set_up}"))
    assert leads_to(await ada.visit(f"GET {OWN}/security/factors")) == f"{OWN}/security"  # reloaded


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (f"PUT {OWN}/api/profile", {"name": "Ada"}),
        (f"PUT {OWN}/api/password", {"current": "x", "new": "long enough"}),
        (f"POST {OWN}/api/factors", {"label": "Tablet"}),
    ],
)
async def test_after_the_code_for_a_call_no_browser_is_led_to_the_call(
    scene: Scene, line: str, value: object
) -> None:
    ada = await scene.signed_in(factor=True)
    asked = (await ada.call(line, value)).json["step_up"]
    assert leads_to(await ada.visit(f"POST {asked}", {"code": ada.next_code()})) == "/"


async def test_there_is_an_end_to_factors(scene: Scene, valkey: Redis) -> None:
    ada = await scene.signed_in()
    await begun(ada)
    html = page(await ada.visit(f"GET {OWN}/security"))
    removed = await ada.visit(f"POST {action_of(html, '/remove')}", {})  # a pending one: without a code
    assert leads_to(removed) == f"{OWN}/security?notice=factor-removed"
    await valkey.hset("ww:{s00}:account:ada", "factors", "10")
    html = page(await ada.visit(f"GET {OWN}/security"))
    assert "You have as many as an account can have." in html


async def test_removing_a_factor_needs_a_code(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    remove = action_of(page(await ada.visit(f"GET {OWN}/security")), "/remove")
    for form, status, said in [
        ({}, 422, "exactly six digits"),
        ({"code": ada.wrong_code()}, 403, "not right"),
        ({"code": ada.code()}, 403, "used already"),
    ]:
        assert said in alert(page(await ada.visit(f"POST {remove}", form), status=status))
        assert leads_to(await ada.visit(f"GET {remove}")) == f"{OWN}/security"
    done = await ada.visit(f"POST {remove}", {"code": ada.next_code()})
    assert leads_to(done) == f"{OWN}/security?notice=factor-removed"
    assert "No authenticator app yet" in page(await ada.visit(f"GET {OWN}/security"))
    assert leads_to(await ada.visit(f"POST {remove}", {"code": ada.next_code()})) == f"{OWN}/security"


# --- what ended between the question who asks and the answer


async def test_a_page_whose_session_ended_meanwhile_is_asked_for_afresh(store: Store) -> None:
    started, desk = await signed_in(store), desk_of(store)
    key = await enrolled_key(desk.second_factor, store, started.cookie)
    person = await snapshot_of(store, started.cookie)
    enrolment = await desk.enrol(inbound(), person, "Tablet", None)
    (confirmed, pending) = await store.factors.list("ada")
    await store.revocations.account("ada", reason="test", actor="test", now=NOW)
    static = StaticFiles.load()
    forms = Forms(desk, Pages(static, Texts.load("en")), static)

    async def after(handler: Handler, code: str, factor: str) -> str | None:
        form = inbound(body=b"code=" + code.encode(), content_type=b"application/x-www-form-urlencoded")
        response = await handler(call_of(form, person, id=factor))
        assert response.status == 303
        return response.headers.get("Location")

    assert await after(forms.remove_factor, code_of(key, NOW), confirmed.id) == f"{OWN}/security"
    first = code_of(enrolment.setup_key, NOW)
    assert await after(forms.confirm_factor, first, pending.id) == f"{OWN}/security"


# --- the password

NEW = "a longer horse battery staple"


async def test_the_code_is_asked_for_before_the_form_of_the_password(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    assert f'href="{OWN}/password"' in page(await ada.visit(f"GET {OWN}/security"))
    challenge = leads_to(await ada.visit(f"GET {OWN}/password"))
    assert "Changing your password" in page(await ada.visit(f"GET {challenge}"))
    answer = await ada.visit(f"POST {challenge}", {"code": ada.next_code()})
    assert leads_to(answer) == f"{OWN}/password"
    html = page(await ada.visit(f"GET {OWN}/password"))
    assert 'autocomplete="new-password"' in html
    form = {"current": "wrong", "new": NEW}
    html = page(await ada.visit(f"POST {OWN}/password", form), status=403)
    assert "The current password is not right" in alert(html)
    assert NEW not in html
    done = await ada.visit(f"POST {OWN}/password", {"current": PASSWORD, "new": NEW})
    changed = leads_to(done)
    assert changed.startswith(f"{OWN}/security?notice=password-changed&of=")
    assert what_was_done(page(await ada.visit(f"GET {changed}"))).startswith(
        "Your password is changed, and every other session has ended. "
        "This holds everywhere: 1 server confirmed it within "
    )


async def test_the_form_of_the_password_waits_five_minutes(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    challenge = leads_to(await ada.visit(f"GET {OWN}/password"))
    await ada.visit(f"POST {challenge}", {"code": ada.next_code()})
    scene.clock.advance(300)
    assert f"{OWN}/step-up/" in leads_to(await ada.visit(f"GET {OWN}/password"))


async def test_too_many_guesses_at_the_current_password(open_scene: OpenScene) -> None:
    async with open_scene(sign_in={"attempts_by_account": 1, "delay": 600}) as scene:
        ada = await scene.signed_in()
        form = {"current": "wrong", "new": NEW}
        await ada.visit(f"POST {OWN}/password", form)
        answer = await ada.visit(f"POST {OWN}/password", form)
        assert alert(page(answer, status=429)) == "Too many attempts. Wait 10 minutes, then try again."
        assert answer.header(b"retry-after") == [b"600"]


async def test_after_a_forced_logout_the_way_to_a_new_password_is_through_sign_in(scene: Scene) -> None:
    ada = await scene.signed_in()
    ended = leads_to(await ada.visit(f"POST {OWN}/sessions/revoke-all", {}))
    assert f'href="{OWN}/password"' in page(await ada.visit(f"GET {ended}"))
    way_in = leads_to(await ada.visit(f"GET {OWN}/password"))
    assert way_in == f"{OWN}/sign-in?return_to={OWN}/password"
    assert leads_to(await ada.visit(f"POST {OWN}/sign-in", {**GOOD, "return_to": f"{OWN}/password"})) == (
        f"{OWN}/password"
    )
