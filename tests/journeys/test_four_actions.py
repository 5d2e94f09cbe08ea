"""F1, F8: each of the four actions is switched on and off by the person, and asks for a code or does not.

In front of an app with one form, by a clock that the test moves: every switch takes a code of its own.
"""

import re
from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Browser, BrowserContext, Locator, Page, expect
from support.gateway import PASSWORD, POLICY, Client, OpenScene, Scene
from support.photographs import DESKTOP
from support.recording import Received, ok

STEP_UP = re.compile("/.watchword/step-up/")
SECURITY = "/.watchword/security"
BY_CHOICE = POLICY.replace(
    "title: Approving a transaction\n    protect: always",
    "title: Approving a transaction\n    protect: by-choice",
)

Asks = Callable[["Story"], Awaitable[bool]]


class Story:
    """Ada, with a factor, in a browser in front of the app."""

    def __init__(self, scene: Scene, ada: Client, page: Page, browser: Browser) -> None:
        self.scene = scene
        self.page = page
        self._ada = ada
        self._browser = browser

    def _entry(self, card: str, title: str) -> Locator:
        cards = self.page.locator("section.card").filter(
            has=self.page.get_by_role("heading", name=card, exact=True)
        )
        # With its app where another one has the same title.
        named = re.compile(rf"^{re.escape(title)}( \(.+\))?$")
        return cards.get_by_role("listitem").filter(has=self.page.get_by_role("heading", name=named))

    async def switch(self, card: str, title: str, *, on: bool) -> None:
        await self.page.goto(SECURITY)
        entry = self._entry(card, title)
        if on:
            await entry.get_by_role("button", name="Switch on").click()
        else:
            await entry.locator("summary").click()
            await expect(entry).to_contain_text("We advise against switching it off")
            await entry.get_by_role("button", name="Switch off").click()
        await expect(self.page.locator("dl.shown")).to_contain_text(title)
        await self.page.locator("input[name=code]:visible").press_sequentially(self._ada.next_code())
        await expect(self.page).to_have_url(re.compile(f"notice=protection-{'on' if on else 'off'}"))
        await expect(self._entry(card, title).locator(".badge")).to_have_text("On" if on else "Off")

    async def elsewhere(self) -> Page:
        """A page of another browser of hers, after name and password."""
        context: BrowserContext = await self._browser.new_context(base_url=_base(self.scene))
        page = await context.new_page()
        await page.goto("/")
        await page.get_by_label("Account").fill("ada")
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page).not_to_have_url(re.compile("/sign-in"))
        return page


async def signing_in(story: Story) -> bool:
    page = await story.elsewhere()
    asked = STEP_UP.search(page.url) is not None
    assert asked or await page.locator("#order").count() == 1
    await page.context.close()
    return asked


async def changing_the_password(story: Story) -> bool:
    await story.page.goto("/.watchword/password")
    asked = STEP_UP.search(story.page.url) is not None
    assert asked or await story.page.get_by_label("New password").count() == 1
    return asked


async def managing_the_profile(story: Story) -> bool:
    await story.page.goto("/.watchword/profile")
    await story.page.get_by_label("Name").fill("Ada King")
    await story.page.get_by_role("button", name="Save").click()
    await expect(story.page).to_have_url(re.compile(r"/.watchword/(step-up/|profile\?notice)"))
    asked = STEP_UP.search(story.page.url) is not None
    assert asked or "notice=profile-changed" in story.page.url
    return asked


async def approving_a_transaction(story: Story) -> bool:
    before = len(story.scene.app.lines)
    await story.page.goto("/")
    await story.page.get_by_role("button", name="Withdraw").click()
    await expect(story.page).not_to_have_url(f"{_base(story.scene)}/")
    asked = STEP_UP.search(story.page.url) is not None
    arrived = "POST /withdrawals" in story.scene.app.lines[before:]
    assert asked is not arrived
    return asked


def _base(scene: Scene) -> str:
    return f"http://localhost:{scene.gateway.port}"


def _shop(received: Received) -> bytes:
    """An app with a form."""
    if received.line != "GET /":
        return ok(received)
    body = (
        b'<form id="order" method="post" action="/withdrawals"><input name="amount" value="1">'
        b'<input name="address" value="x"><button>Withdraw</button></form>'
    )
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head + body


@pytest.mark.parametrize(
    ("card", "title", "asks", "default"),
    [
        ("What asks for a code at Exchange", "Signing in", signing_in, False),
        ("What asks for a code in your account", "Changing your password", changing_the_password, True),
        ("What asks for a code in your account", "Managing your profile", managing_the_profile, True),
        ("What asks for a code at Exchange", "Approving a transaction", approving_a_transaction, False),
    ],
    ids=["signing in", "password", "profile", "transaction"],
)
async def test_a_switch_is_what_it_says(
    open_scene: OpenScene, browser: Browser, card: str, title: str, asks: Asks, default: bool
) -> None:
    async with open_scene(policy=BY_CHOICE) as scene:
        scene.app.respond = _shop
        ada = await scene.signed_in(factor=True, authority=f"localhost:{scene.gateway.port}")
        context = await browser.new_context(base_url=_base(scene), viewport=DESKTOP)
        await context.add_cookies(
            [{"name": name, "value": value, "url": _base(scene)} for name, value in ada.cookies.items()]
        )
        story = Story(scene, ada, await context.new_page(), browser)
        assert await asks(story) is default
        for on in (not default, default):
            await story.switch(card, title, on=on)
            assert await asks(story) is on
