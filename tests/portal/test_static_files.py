"""The files as they are served, and then as a browser runs them on every page."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, ConsoleMessage, Page, ViewportSize, expect
from support.photographs import DESKTOP, PHONE
from support.sample_pages import EVERYTHING, STATIC

from gateway.portal.pages import PAGE_HEADERS
from gateway.portal.static_files import PREFIX, StaticFiles

KNOWN = StaticFiles({"a.css": b"p{}", "b.js": b"1", "c.svg": b"<svg/>"})
FOR_GOOD = "public, max-age=31536000, immutable"


def version_of(name: str, known: StaticFiles = KNOWN) -> str:
    return known.url(name).partition("?v=")[2]


# --- as served


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.css", "text/css; charset=utf-8"),
        ("b.js", "text/javascript; charset=utf-8"),
        ("c.svg", "image/svg+xml"),
    ],
)
def test_a_known_file_is_answered(name: str, content_type: str) -> None:
    answer = KNOWN.answer(name)
    assert answer is not None
    assert answer.status == 200
    assert answer.headers["Content-Type"] == content_type
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert KNOWN.url(name).startswith(f"{PREFIX}{name}?v=")


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../pages.py", "../static/a.css", "/etc/passwd", "A.css", "a.css/", "a.css\0", "a"],
)
def test_nothing_else_is_answered(name: str) -> None:
    assert KNOWN.answer(name) is None


@pytest.mark.parametrize(
    ("version", "cached"),
    [(version_of("a.css"), FOR_GOOD), (version_of("b.js"), "public, no-cache"), (None, "public, no-cache")],
)
def test_only_under_the_hash_of_its_content_is_a_file_cached_for_good(
    version: str | None, cached: str
) -> None:
    answer = KNOWN.answer("a.css", version=version)
    assert answer is not None
    assert answer.headers["Cache-Control"] == cached


def test_another_content_has_another_address_and_tag() -> None:
    changed = StaticFiles({"a.css": b"p{color:red}"})
    assert changed.url("a.css") != KNOWN.url("a.css")
    before, after = KNOWN.answer("a.css"), changed.answer("a.css")
    assert before is not None
    assert after is not None
    assert before.headers["ETag"] != after.headers["ETag"]


TAG = f'"{version_of("a.css")}"'


@pytest.mark.parametrize(
    ("if_none_match", "status"),
    [
        (TAG, 304),
        (f"W/{TAG}", 304),
        (f'"x", {TAG}', 304),
        ("*", 304),
        ('"x"', 200),
        ("", 200),
        (TAG.strip('"'), 200),
    ],
)
def test_a_file_that_the_client_has_is_not_sent_again(if_none_match: str, status: int) -> None:
    answer = KNOWN.answer("a.css", if_none_match=if_none_match)
    assert answer is not None
    assert answer.status == status
    assert answer.body == (b"" if status == 304 else b"p{}")
    assert answer.headers["ETag"] == TAG


def test_the_package_has_its_files_and_they_are_small() -> None:
    sizes = {entry.name: len(entry.read_bytes()) for entry in (files("gateway.portal") / "static").iterdir()}
    assert sizes.keys() == {"watchword.css", "watchword.js", "watchword.svg"}
    assert all(STATIC.answer(name) for name in sizes)
    assert sum(sizes.values()) < 20_000


# --- as a browser runs them


@dataclass
class Portal:
    """The sample pages on a real socket, and what browsers posted: path, Origin and form."""

    origin: str = ""
    posted: list[tuple[str, str | None, dict[str, str]]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    event: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    listening: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, page: str) -> str:
        return f"{self.origin}/page?name={page}"


@pytest.fixture
async def portal() -> AsyncIterator[Portal]:
    served = Portal()

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=EVERYTHING[request.query["name"]], headers=PAGE_HEADERS)

    async def asset(request: web.Request) -> web.Response:
        answer = STATIC.answer(request.match_info["name"], version=request.query.get("v"))
        assert answer is not None
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    async def post(request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        served.posted.append((request.path, request.headers.get("Origin"), form))
        return web.Response(text=EVERYTHING["signed out"], headers=PAGE_HEADERS)

    app = web.Application()

    async def events(request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        await stream.write(b": waiting\n\n")
        served.listening.set()
        served.events.append(request.path_qs)
        await stream.write(await served.event.get())
        return stream

    app.router.add_get("/page", page)
    app.router.add_get("/.watchword/waiting/events", events)
    app.router.add_get(PREFIX + "{name}", asset)
    app.router.add_post("/{path:.*}", post)
    async with TestServer(app) as server:
        served.origin = str(server.make_url("")).rstrip("/")
        yield served


@pytest.fixture
async def tab(browser: Browser) -> AsyncIterator[Page]:
    """A tab of a phone whose clock stands still; at the end, nothing may have been complained of."""
    context = await browser.new_context(
        viewport={"width": 390, "height": 844}, locale="en-GB", timezone_id="UTC"
    )
    page = await context.new_page()
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        complaints.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.clock.install()
    yield page
    assert complaints == []


STEP_UP = f"/.watchword/step-up/{'c' * 32}"


@pytest.mark.browser
async def test_six_digits_send_themselves_once(portal: Portal, tab: Page) -> None:
    await tab.goto(portal.url("step-up"))
    await expect(tab.locator("input[name=code]")).to_be_focused()  # by itself, with the next frame
    async with tab.expect_navigation():
        await tab.keyboard.type("123456")
    assert portal.posted == [(STEP_UP, portal.origin, {"code": "123456"})]


@pytest.mark.browser
@pytest.mark.parametrize("pasted", ["123 456", " 123-456\n", "Your code: 123456."])
async def test_a_pasted_code_needs_no_cleaning(portal: Portal, tab: Page, pasted: str) -> None:
    await tab.goto(portal.url("step-up"))
    await tab.evaluate(
        """(text) => {
            const clipboardData = new DataTransfer();
            clipboardData.setData("text", text);
            const event = new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true });
            document.getElementById("code").dispatchEvent(event);
        }""",
        pasted,
    )
    await tab.wait_for_url(f"**{STEP_UP}")
    assert [form for _, _, form in portal.posted] == [{"code": "123456"}]


@pytest.mark.browser
async def test_a_removal_waits_for_its_button(portal: Portal, tab: Page) -> None:
    await tab.goto(portal.url("security, removing"))
    await expect(tab.locator("input[aria-invalid]")).to_be_focused()
    await tab.keyboard.type("12345678")
    assert await tab.input_value("input[name=code]") == "123456"
    assert portal.posted == []
    async with tab.expect_navigation():
        await tab.keyboard.press("Enter")
    assert [form for _, _, form in portal.posted] == [{"code": "123456"}]


@pytest.mark.browser
async def test_a_second_press_sends_nothing(portal: Portal, tab: Page) -> None:
    await tab.goto(portal.url("devices"))
    await tab.evaluate(
        """() => {
            const form = document.querySelector("form[action$='revoke-all']");
            window.sent = 0;
            form.addEventListener("submit", (event) => {
                sent += !event.defaultPrevented;
                event.preventDefault();
            });
            window.press = () => { form.requestSubmit(); return sent; };
        }"""
    )
    assert [await tab.evaluate("press()"), await tab.evaluate("press()")] == [1, 1]
    await tab.clock.fast_forward(9_000)
    assert await tab.evaluate("press()") == 2, "who comes back may press again"


@pytest.mark.browser
async def test_countdowns_follow_the_server_and_not_the_clock_of_the_phone(portal: Portal, tab: Page) -> None:
    await tab.clock.set_system_time("2001-01-01")
    await tab.goto(portal.url("step-up"))
    next_code, left = tab.locator("[data-next-code]"), tab.locator("[data-expires]")
    for seconds, counted, clock in [(0, 12, "4:44"), (11, 1, "4:33"), (1, 30, "4:32"), (30, 30, "4:02")]:
        await tab.clock.run_for(seconds * 1000)
        assert (
            await next_code.inner_text()
            == f"From your authenticator app. The next code comes in {counted} s."
        )
        assert await left.inner_text() == f"Time left: {clock}"


@pytest.mark.browser
@pytest.mark.parametrize("name", ["step-up, too often", "password, too often"])
async def test_a_wait_counts_down_by_the_server_and_is_heard_once_when_it_is_over(
    portal: Portal, tab: Page, name: str
) -> None:
    await tab.clock.set_system_time("2001-01-01")
    await tab.goto(portal.url(name))
    alert = tab.get_by_role("alert")
    for seconds, left in [(0, "1:15"), (15, "1:00"), (59, "0:01")]:
        await tab.clock.run_for(seconds * 1000)
        assert f"Wait {left}, then" in await alert.inner_text()
        assert await alert.get_attribute("aria-live") == "off"
    await tab.clock.run_for(1000)
    assert await alert.inner_text() == "You can try again now."
    assert await alert.get_attribute("aria-live") is None
    await tab.clock.run_for(60_000)
    assert await alert.inner_text() == "You can try again now."


@pytest.mark.browser
async def test_an_expired_challenge_is_asked_for_again(portal: Portal, tab: Page) -> None:
    await tab.goto(portal.url("step-up"))
    async with tab.expect_request("**/page") as asked:
        await tab.route("**/page", lambda route: route.fulfill(status=200, body="over"))
        await tab.clock.run_for(285_000)
    assert (await asked.value).method == "GET"


@pytest.mark.browser
@pytest.mark.parametrize("event", ["authorised", "ended"])
async def test_a_page_that_waits_is_asked_for_again_at_an_event(
    portal: Portal, tab: Page, event: str
) -> None:
    await tab.goto(portal.url("device waiting"))
    await portal.listening.wait()
    async with tab.expect_request("**/page?name=*") as asked:
        portal.event.put_nowait(f"event: {event}\ndata:\n\n".encode())
    assert (await asked.value).method == "GET"
    assert portal.events[0] == "/.watchword/waiting/events?return_to=/withdrawals%3Fa%3D1"


@pytest.mark.browser
async def test_times_are_shown_in_the_place_of_the_reader(portal: Portal, tab: Page) -> None:
    await tab.goto(portal.url("devices"))
    assert (
        await tab.locator("time[datetime='2026-05-05T16:52:20Z']").first.inner_text() == "5 May 2026, 16:52"
    )


@pytest.mark.browser
async def test_a_password_can_be_looked_at(portal: Portal, tab: Page) -> None:
    await tab.goto(portal.url("sign-in"))
    show = tab.get_by_role("button", name="Show Password")
    kinds = [(await tab.get_attribute("#password", "type"), await show.get_attribute("aria-pressed"))]
    for _ in range(2):
        await show.click()
        kinds.append((await tab.get_attribute("#password", "type"), await show.get_attribute("aria-pressed")))
    assert kinds == [("password", "false"), ("text", "true"), ("password", "false")]


@pytest.mark.browser
async def test_the_setup_key_can_be_copied(portal: Portal, tab: Page) -> None:
    await tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await tab.goto(portal.url("factor set-up"))
    await tab.get_by_role("button", name="Copy key").click()
    await tab.get_by_role("button", name="Copied").wait_for()
    assert await tab.evaluate("navigator.clipboard.readText()") == "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@pytest.mark.browser
async def test_pages_work_without_the_script(portal: Portal, browser: Browser) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(portal.url("step-up"))
    assert await page.get_by_text("It is sent as soon as it has six digits.").is_hidden()
    await page.fill("#code", "123456")
    assert portal.posted == []
    await page.get_by_role("button", name="Approve").click()
    await page.goto(portal.url("security"))
    await page.locator("summary", has_text="Remove My phone 1").click()
    await page.locator("input[name=code]").first.fill("654321")
    await page.get_by_role("button", name="Remove My phone 1").click()
    removal = f"/.watchword/security/factors/{1:032x}/remove"
    assert [(path, form["code"]) for path, _, form in portal.posted] == [
        (STEP_UP, "123456"),
        (removal, "654321"),
    ]
    assert {origin for _, origin, _ in portal.posted} == {portal.origin}, (
        "the origin check must let them pass"
    )


# Text against its ground (WCAG 1.4.3), targets (2.5.8, which exempts links in a sentence), and reflow
# at 320 pixels (1.4.10).
FAULTS = """() => {
    const rgba = (colour) => [...colour.match(/[\\d.]+/g).map(Number), 1].slice(0, 4);
    const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
    const ancestry = (element) => element ? [...ancestry(element.parentElement), element] : [];
    const ground = (element) => ancestry(element)
        .map((one) => rgba(getComputedStyle(one).backgroundColor)).reduce((below, top) => over(top, below));
    const light = (colour) => colour.slice(0, 3).map((part) => part / 255)
        .map((part) => part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4)
        .reduce((sum, part, i) => sum + part * [.2126, .7152, .0722][i], 0);
    const contrast = (a, b) => (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    for (const details of document.querySelectorAll("details")) details.open = true;
    const faults = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
        if (!text || !element.checkVisibility()) continue;
        const below = ground(element);
        const ratio = contrast(light(over(rgba(getComputedStyle(element).color), below)), light(below));
        if (ratio < 4.5) faults.push(["contrast", text, ratio]);
    }
    for (const target of document.querySelectorAll("a, button, summary, input")) {
        const { width, height } = target.getBoundingClientRect();
        const exempt = target.closest("li > a, .skip, [type=hidden]") || !target.checkVisibility();
        if (!exempt && Math.min(width, height) < 24) faults.push(["target", target.outerHTML]);
    }
    for (const field of document.querySelectorAll("input:not([type=hidden])")) {
        const edge = rgba(getComputedStyle(field).borderTopColor);
        if (contrast(light(edge), light(ground(field.parentElement))) < 3) faults.push(["edge", field.id]);
    }
    if (document.documentElement.scrollWidth > innerWidth) faults.push(["scrolls sideways", innerWidth]);
    return faults;
}"""


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_can_be_read_and_pressed(portal: Portal, tab: Page, scheme: str) -> None:
    await tab.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    await tab.set_viewport_size({"width": 320, "height": 640})
    faults = {}
    for name in EVERYTHING:
        await tab.goto(portal.url(name))
        faults[name] = await tab.evaluate(FAULTS)
    assert {name: found for name, found in faults.items() if found} == {}


@pytest.mark.browser
async def test_the_faults_would_be_found(portal: Portal, tab: Page) -> None:
    await tab.goto(portal.url("sign-in"))
    await tab.evaluate(
        """() => {
            const rules = new CSSStyleSheet();
            rules.replaceSync("h1 { color: #999 } button { height: 1rem; min-height: 0; padding: 0 }"
                + " input { border-color: #ddd } .card { width: 900px }");
            document.adoptedStyleSheets = [rules];
        }"""
    )
    assert {fault[0] for fault in await tab.evaluate(FAULTS)} == {
        "contrast",
        "target",
        "edge",
        "scrolls sideways",
    }


# --- for everybody

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
"""Of axe-core: WCAG 2.2 AA, and what its makers advise beyond."""


async def faults_of(page: Page) -> list[str]:
    """What axe-core finds on a page, with the places."""
    found = await Axe().run(page, options={"runOnly": RULES, "resultTypes": ["violations"]})
    violations: list[dict[str, Any]] = found.response["violations"]
    return [f"{each['id']}: {[node['target'] for node in each['nodes']]}" for each in violations]


@pytest.fixture
async def inspected(browser: Browser) -> AsyncIterator[Page]:
    """A page that axe-core may be put into: the strict policy of ours would keep it out."""
    context = await browser.new_context(bypass_csp=True, reduced_motion="reduce")
    yield await context.new_page()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_axe_finds_nothing_on_any_page(
    portal: Portal, inspected: Page, size: ViewportSize, scheme: Literal["light", "dark"]
) -> None:
    await inspected.set_viewport_size(size)
    await inspected.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    found = {}
    for name in EVERYTHING:
        await inspected.goto(portal.url(name))
        if faults := await faults_of(inspected):
            found[name] = faults
    assert found == {}


async def test_axe_finds_what_is_wrong(portal: Portal, inspected: Page) -> None:
    await inspected.goto(portal.url("sign-in"))
    await inspected.evaluate("document.querySelector('label[for=subject]').remove()")
    assert any(fault.startswith("label") for fault in await faults_of(inspected))
