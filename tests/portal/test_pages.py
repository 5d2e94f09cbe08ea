import re
from dataclasses import fields
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.sample_pages import EVERYTHING, PAGES, everything
from support.sample_values import (
    KEY,
    NOW,
    SEED,
    URI,
    USUAL,
    Strings,
    asked,
    device,
    factor,
    person,
    session,
)

from gateway.core.ending import Scope
from gateway.core.reasons import Reason
from gateway.core.records import Device, DeviceState, FactorState
from gateway.errors import UpstreamFault
from gateway.portal.devices import devices_page
from gateway.portal.pages import PAGE_HEADERS, Holder, Notice, Trouble
from gateway.portal.static_files import PREFIX

HOLDER = Holder("Ada Lovelace", "Exchange")
VOID = {"meta", "link", "input", "br", "img", "path"}
WARNING = "Never share a code"
CODE_PAGES = [name for name, html in EVERYTHING.items() if 'name="code"' in html]

Tag = tuple[str, dict[str, str | None]]


class Parsed(HTMLParser):
    """A page as a browser reads it; every opened element must be closed in its order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[Tag] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), "an attribute stands twice"
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def all(self, *names: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag in names]

    def actions(self) -> list[str | None]:
        return [form["action"] for form in self.all("form")]

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(tag, tuple(attributes)) for tag, attributes in self.tags]


every_page = pytest.mark.parametrize("html", EVERYTHING.values(), ids=EVERYTHING)


# --- what holds for every page


@every_page
def test_nothing_is_inline_and_nothing_comes_from_elsewhere(html: str) -> None:
    page = Parsed(html)
    for tag, attributes in page.tags:
        assert not {name for name in attributes if name.startswith("on") or name == "style"}
        assert tag not in {"style", "iframe", "object", "embed", "img", "base"}
    assert [script.keys() for script in page.all("script")] == [{"src", "defer"}]
    for asset in page.all("script", "link"):
        assert (asset.get("src") or asset.get("href") or "").startswith(PREFIX)
    for link in page.all("a"):
        assert (link["href"] or "").startswith(("/", "#", "otpauth:")) or link["href"] == ""


@every_page
def test_forms_are_plain_posts_to_the_portal(html: str) -> None:
    page = Parsed(html)
    for form in page.all("form"):
        assert form["method"] == "post"
        assert (form["action"] or "").startswith("/.watchword/")
    assert len(page.all("form")) <= len(page.all("button"))


@every_page
def test_assistive_technology_finds_its_way(html: str) -> None:
    page = Parsed(html)
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")) == 1
    levels = [int(tag[1]) for tag, _ in page.tags if tag in {"h1", "h2", "h3", "h4"}]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    labelled = {label["for"] for label in page.all("label")}
    assert labelled == {field["id"] for field in page.all("input") if field.get("type") != "hidden"}
    for _, attributes in page.tags:
        for name in ("aria-describedby", "aria-labelledby"):
            assert set((attributes.get(name) or "").split()) <= set(ids)


@every_page
def test_every_button_can_be_told_from_the_others(html: str) -> None:
    """Also where they are listed without their surroundings: "Revoke" alone would not say what."""
    opened = html.split("<button")[1:]
    names = [Parsed("<button" + part.partition("</button>")[0] + "</button>").text for part in opened]
    assert all(names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", ["sign-in", *CODE_PAGES, "security", "recovery codes", "move"])
def test_f9_where_codes_are_asked_for_the_warning_stands(name: str) -> None:
    text = Parsed(EVERYTHING[name]).text
    assert WARNING in text
    assert "Support never asks" in text


@pytest.mark.parametrize("name", CODE_PAGES)
def test_code_fields_fill_from_the_phone(name: str) -> None:
    for field in Parsed(EVERYTHING[name]).all("input"):
        if field.get("name") == "code":
            assert field["autocomplete"] == "one-time-code"
            assert field["inputmode"] == "numeric"
            assert field["pattern"] == "[0-9]{6}"
            assert field["maxlength"] == "6"


HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "' autofocus onfocus=alert(1) x='",
    "</title></textarea><!--",
    "{{ 7 * 7 }} {% raw %} {0} {brand}",
    "&lt;b&gt; &amp; &#60;",
    "javascript:alert(1)",
    "\u202eesrever\u2066",
)


def same_shape(strings: Strings) -> None:
    """Whatever the strings say, the pages keep their elements and attributes."""
    for name, html in everything(strings).items():
        assert Parsed(html).shape == Parsed(EVERYTHING[name]).shape, name


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_strings_stay_text(hostile: str) -> None:
    strings = Strings(**{field.name: hostile for field in fields(Strings)})
    same_shape(strings)
    page = Parsed(everything(strings)["devices"])
    assert " ".join(hostile.split()) in page.text


@given(st.builds(Strings, **{field.name: st.text(min_size=1) for field in fields(Strings)}))
def test_no_string_changes_a_page(strings: Strings) -> None:
    same_shape(strings)


# --- each page


def test_signing_in_keeps_where_to_return_and_what_was_typed() -> None:
    page = Parsed(EVERYTHING["sign-in, wrong"])
    values = {field["name"]: field.get("value") for field in page.all("input")}
    assert values == {"return_to": USUAL.path, "subject": USUAL.name, "password": None}
    assert [field.get("autocomplete") for field in page.all("input")] == [
        None,
        "username",
        "current-password",
    ]
    assert page.actions() == ["/.watchword/sign-in"]


@pytest.mark.parametrize(
    ("trouble", "said", "role"),
    [
        (Trouble(Reason.WRONG_CREDENTIALS), "Account or password is not right", "alert"),
        (Trouble(Reason.TOO_MANY_ATTEMPTS, 900), "Wait 15 minutes", "alert"),
        (Trouble(Reason.SESSION_EXPIRED), "signed out after a while", "status"),
        (Trouble(Reason.SESSION_REVOKED), "If that was not you", "status"),
        (Trouble(Reason.DEVICE_REVOKED), "If that was not you", "status"),
        (Trouble(Reason.ACCOUNT_DISABLED), "Ask support", "status"),
        (Trouble(Reason.NO_SESSION), None, None),
        (Trouble(Reason.EPOCH_MISSING), None, None),
        (None, None, None),
    ],
)
def test_signing_in_says_why(trouble: Trouble | None, said: str | None, role: str | None) -> None:
    page = Parsed(PAGES.sign_in("Exchange", "/", trouble=trouble))
    assert [tag["role"] for tag in page.all("p") if "role" in tag] == ([role] if role else [])
    assert (said or "Sign in") in page.text
    assert bool([field for field in page.all("input") if "aria-invalid" in field]) == (role == "alert")


def test_a_step_up_shows_what_is_approved() -> None:
    page = Parsed(EVERYTHING["step-up"])
    for words in (
        "At Exchange",
        "Approving a transaction",
        "0.75 BTC",
        USUAL.shown,
        "You have 5 minutes left.",
    ):
        assert words in page.text
    assert page.actions()[0] == f"/.watchword/step-up/{'c' * 32}"
    counted = [p for p in page.all("p", "span") if "data-expires" in p or "data-next-code" in p]
    assert [p.get("data-next-code") or p.get("data-expires") for p in counted] == ["12", "284"]
    assert "/" in [link["href"] for link in page.all("a")], "cancel"


def test_a_step_up_that_shows_nothing_approves_nothing() -> None:
    page = Parsed(EVERYTHING["step-up, nothing shown"])
    assert page.all("dl") == []
    assert "Approve " not in page.text


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (Trouble(Reason.WRONG_CODE, 9), "set the clock of your phone to automatic"),
        (Trouble(Reason.USED_CODE, 12), "it comes in 12 seconds"),
        (Trouble(Reason.MALFORMED_CODE, 12), "exactly six digits"),
        (Trouble(Reason.TOO_MANY_ATTEMPTS, 301), "Wait 6 minutes"),
        (Trouble(Reason.EXPIRED_CODE, 12), "too old"),
        (Trouble(Reason.WRONG_CLOCK, 12, -180), "clock seems to be about 3 minutes behind"),
        (Trouble(Reason.WRONG_CLOCK, 12, 90), "clock seems to be about 1½ minutes ahead"),
    ],
)
def test_f6_what_is_wrong_with_a_code_is_explained(trouble: Trouble, said: str) -> None:
    pages = [
        PAGES.step_up(HOLDER, asked(USUAL), trouble=trouble),
        PAGES.factor_setup(HOLDER, "f" * 32, "My phone", URI, KEY, trouble=trouble),
        PAGES.security(HOLDER, [factor(1, USUAL)], [], NOW, removing=(f"{1:032x}", trouble)),
    ]
    for page in map(Parsed, pages):
        assert said in page.text
        (field,) = [field for field in page.all("input") if field.get("name") == "code"]
        assert field["aria-invalid"] == "true"
        assert "autofocus" in field


@pytest.mark.parametrize("locked", [{"locked": True}, {"trouble": Trouble(Reason.CODES_LOCKED)}])
def test_f6_where_no_code_counts_only_a_recovery_code_is_asked_for(locked: dict[str, Any]) -> None:
    page = Parsed(PAGES.step_up(HOLDER, asked(USUAL), **locked))
    assert "Use a recovery code, or ask support" in page.text
    assert [field["name"] for field in page.all("input")] == ["recovery_code"]
    assert page.actions()[0] == f"/.watchword/step-up/{'c' * 32}/recovery"
    assert f"/.watchword/step-up/{'c' * 32}" not in page.actions()
    security = Parsed(EVERYTHING["security, locked"])
    assert "Codes are locked" in security.text
    assert "/.watchword/unlock" in [link["href"] for link in security.all("a")]


def test_f6_where_no_recovery_code_does_instead_the_way_to_unlock_codes_is_shown() -> None:
    page = Parsed(EVERYTHING["step-up, locked, recovery not enough"])
    assert page.all("input") == []
    assert "/.watchword/unlock" in [link["href"] for link in page.all("a")]


@pytest.mark.parametrize("name", ["step-up, too often", "password, too often"])
def test_a_wait_is_counted_down_and_reads_well_without_a_script(name: str) -> None:
    page = Parsed(EVERYTHING[name])
    (said,) = [tag for tag in page.all("p") if "data-wait" in tag]
    assert (said["data-wait"], said["role"]) == ("75", "alert")
    assert "Wait #," in (said["data-text"] or "")
    assert said["data-over"] == "You can try again now."
    assert "Wait 75 seconds," in page.text


@pytest.mark.parametrize("name", ["step-up, used", "step-up, locked", "profile, wrong"])
def test_what_is_no_matter_of_waiting_counts_nothing_down(name: str) -> None:
    assert [tag for tag in Parsed(EVERYTHING[name]).all("p") if "data-wait" in tag] == []


@pytest.mark.parametrize("name", ["factor needed, after a reset", "security, after a reset"])
def test_after_a_reset_it_is_said_who_took_the_apps_away(name: str) -> None:
    page = Parsed(EVERYTHING[name])
    assert "Support reset your account" in page.text
    assert "If you did not ask for the reset, tell support" in page.text
    for wrong in ("none yet", "Nothing was sent", "No authenticator app yet"):
        assert wrong not in page.text


@pytest.mark.parametrize("name", ["security", "step-up", "move"])
def test_a_stolen_phone_is_told_from_a_broken_one(name: str) -> None:
    """Whoever has the phone has the codes: the same key on another phone takes nothing from them."""
    text = Parsed(EVERYTHING[name]).text
    assert "nothing to change" not in text
    stolen = text.partition("Phone stolen")[2]
    steps = ("Type the key into", "add a new", "remove the old one", "change your password", "force a logout")
    found = [stolen.find(step) for step in steps]
    assert -1 not in found and found == sorted(found), "in this order"


def test_what_has_the_same_title_in_two_apps_is_told_apart() -> None:
    html = EVERYTHING["security"]
    for app in ("Exchange", "Exchange wiki"):
        assert f"<h3>Signing in ({app})</h3>" in html
    assert "<h3>Managing your profile</h3>" in html
    buttons = [part.partition("</")[0] for part in html.split('<button class="danger">')[1:]]
    assert "Switch off: Signing in (Exchange wiki)" in buttons, "seen by everybody, not only heard"


def test_what_always_asks_says_what_it_takes_before_there_is_an_app() -> None:
    assert "Always on" in EVERYTHING["security"]
    for html in (EVERYTHING["security, none"], EVERYTHING["security, after a reset"]):
        assert "Always on" not in html
        assert "Only with an authenticator app" in html


def test_with_another_app_removing_one_costs_less() -> None:
    page = Parsed(PAGES.security(HOLDER, [factor(1, USUAL), factor(2, USUAL)], [], NOW))
    assert page.text.count("Your other authenticator apps stay.") == 2
    assert "your only authenticator app" not in page.text


def test_a_switch_that_was_just_pressed_is_named() -> None:
    assert "A code is no longer asked for: Signing in (Exchange)." in EVERYTHING["security, switched"]


def test_without_a_factor_the_way_to_one_is_shown() -> None:
    page = Parsed(EVERYTHING["factor needed"])
    assert "Approving a transaction needs a code" in page.text
    assert [link["href"] for link in page.all("a")][1:] == ["/.watchword/security", "/"]


def test_after_a_challenge_ended_the_way_back_is_shown() -> None:
    assert [link["href"] for link in Parsed(EVERYTHING["challenge ended"]).all("a")][1:] == ["/"]


def test_f8_removing_a_factor_needs_a_code_and_is_advised_against() -> None:
    page = Parsed(PAGES.security(HOLDER, [factor(1, USUAL)], [], NOW))
    assert f"/.watchword/security/factors/{1:032x}/remove" in page.actions()
    assert [field["name"] for field in page.all("input")] == ["code", "label"]
    assert "This is your only authenticator app." in page.text
    assert "your recovery codes go as well" in page.text
    assert [tag for tag in page.all("details") if "open" in tag] == []


def test_f8_the_warning_is_true_where_others_stay() -> None:
    page = Parsed(PAGES.security(HOLDER, [factor(1, USUAL), factor(2, USUAL)], [], NOW))
    assert "Your other authenticator apps stay." in page.text
    assert "your only authenticator app" not in page.text


def test_only_the_removal_that_failed_is_open() -> None:
    page = Parsed(EVERYTHING["security, removing"])
    assert ["open" in tag for tag in page.all("details")] == [True, False, False, False, False]
    assert sum("aria-invalid" in field for field in page.all("input")) == 1


def test_a_pending_factor_counts_for_nothing_yet() -> None:
    pending = factor(3, USUAL, FactorState.PENDING, None)
    page = Parsed(PAGES.security(HOLDER, [pending], [], NOW))
    assert "Set-up not finished" in page.text
    assert "Add an authenticator app" in page.text, "the account still has none"
    assert [field["name"] for field in page.all("input")] == ["label"], "removing it needs no code"
    assert f"/.watchword/security/factors/{3:032x}" in [link["href"] for link in page.all("a")]


def test_f7_a_second_factor_may_be_added_until_the_account_is_full() -> None:
    adding = "/.watchword/security/factors"
    assert adding in Parsed(EVERYTHING["security"]).actions()
    full = Parsed(EVERYTHING["security, full"])
    assert adding not in full.actions()
    assert "To add one, remove another first." in full.text


def test_no_seed_is_on_the_security_page() -> None:
    assert "sealed seed" not in EVERYTHING["security"]


def test_f2_f3_set_up_shows_the_code_the_key_and_to_save_it() -> None:
    page = Parsed(EVERYTHING["factor set-up"])
    assert "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP" in page.text
    assert len([svg for svg in page.all("svg") if "width" not in svg]) == 1, "the QR code"
    assert URI in [link["href"] for link in page.all("a")]
    assert "If you lose the phone, this key brings your codes back" in page.text
    assert f"/.watchword/security/factors/{'f' * 32}/confirm" in page.actions()


def test_f3_recovery_codes_are_listed_for_screen_paper_and_file() -> None:
    page = Parsed(EVERYTHING["recovery codes"])
    assert "K7QM-2X9P-HV3D-8TNA" in page.text
    assert page.text.count("AB-CDEF-GHJK-MNPQ") == 9
    assert WARNING in page.text
    (download,) = [button for button in page.all("button") if "data-download" in button]
    assert len([button for button in page.all("button") if "data-print" in button]) == 1
    assert download["data-download"] in [tag.get("id") for tag in page.all("div")]
    assert [tag for tag in page.all("div") if tag.get("class") == "actions"] == [
        {"class": "actions", "data-script": None, "hidden": None}
    ], "buttons that do nothing without the script are not shown without it"


def test_f3_a_recovery_code_may_be_given_instead_where_it_is_enough() -> None:
    recovery = f"/.watchword/step-up/{'c' * 32}/recovery"
    page = Parsed(EVERYTHING["step-up, recovering"])
    assert recovery in page.actions()
    assert "used already: each one counts once" in page.text
    (field,) = [field for field in page.all("input") if field.get("name") == "recovery_code"]
    assert field["aria-invalid"] == "true"
    assert "autofocus" in field
    assert [field for field in page.all("input") if "autofocus" in field] == [field]
    not_enough = Parsed(EVERYTHING["step-up, recovery not enough"])
    assert recovery not in not_enough.actions()
    assert "Set up a new authenticator app under Security" in not_enough.text


def test_a_factor_on_trial_says_until_when_and_what_to_do() -> None:
    page = Parsed(EVERYTHING["security, on trial"])
    assert page.text.count("On trial until") == 1
    assert "2026-05-08T00:26:40Z" in {tag["datetime"] for tag in page.all("time")}
    assert "If that was not you, remove it now" in page.text
    assert "1 recovery code is left." in page.text
    assert "On trial" not in EVERYTHING["security"]


@pytest.mark.parametrize("name", ["move", "security", "step-up"])
def test_f5_what_to_do_without_the_phone_is_explained(name: str) -> None:
    text = Parsed(EVERYTHING[name]).text
    for words in ("setup key saved", "recovery code", "ask support"):
        assert words in text


def test_d1_d3_devices_and_sessions_can_be_told_apart_and_revoked() -> None:
    page = Parsed(EVERYTHING["devices"])
    for said in ("This device", "This session"):
        assert EVERYTHING["devices"].count(f">{said}<") == 1
    for words in ("1 day ago 2026-05-04 16:53 UTC", "203.0.113.7", "2 sessions", "Revoke and sign out"):
        assert words in page.text
    wanted = {
        f"/.watchword/devices/{number:032x}/{to}" for number in (1, 2, 3, 5) for to in ("revoke", "name")
    }
    wanted |= {f"/.watchword/sessions/{number:032x}/revoke" for number in (1, 2, 3, 4)}
    wanted |= {
        f"/.watchword/devices/{3:032x}/authorise",
        f"/.watchword/devices/{5:032x}/authorise",
        "/.watchword/sessions/revoke-all",
        "/.watchword/sign-out",
    }
    assert sorted(filter(None, page.actions())) == sorted(wanted), (
        "nothing twice, nothing for a revoked device"
    )


def devices_of(devices: list[Device], *, confirmed: bool = True, notice: Notice | None = None) -> str:
    """The devices page as it looks on device 1, confirmed or only let in."""
    looks = person(device(1, USUAL, confirmed=confirmed), session(1, 1, USUAL))
    return devices_page(PAGES, HOLDER, looks, devices=devices, sessions=[], now=NOW, notice=notice)


@pytest.mark.parametrize("confirmed", [True, False])
def test_only_a_confirmed_device_offers_to_confirm_one_that_was_let_in(confirmed: bool) -> None:
    let_in = device(2, USUAL, confirmed=False)
    asking = device(3, USUAL, confirmed=False, word_seed=SEED)
    pending = device(4, USUAL, DeviceState.PENDING, word_seed=SEED)
    page = Parsed(devices_of([let_in, asking, pending], confirmed=confirmed))
    offered = {action for action in page.actions() if action and action.endswith("/authorise")}
    numbers = (3, 4) if confirmed else (4,)
    assert offered == {f"/.watchword/devices/{number:032x}/authorise" for number in numbers}
    assert page.text.count("tidy fountain") == len(numbers)


def test_d2_a_pending_device_comes_first_and_this_one_next() -> None:
    devices = [
        device(4, USUAL, DeviceState.REVOKED, used=1),
        device(2, USUAL, used=10),
        device(1, USUAL, used=500),
        device(5, USUAL, used=5),
        device(3, USUAL, DeviceState.PENDING, used=900),
    ]
    html = devices_of(devices)
    actions = [action for action in Parsed(html).actions() if action and action.endswith("/revoke")]
    assert [int(action.split("/")[3], 16) for action in actions] == [3, 1, 5, 2]


def test_d4_d5_one_button_ends_everything_and_advice_stands_beside_it() -> None:
    page = Parsed(EVERYTHING["devices"])
    for words in (
        "Force logout from all sessions",
        "Ends every session on every device at once, this one too.",
        "Change your password",
        "Look at your authenticator apps",
    ):
        assert words in page.text
    advice = EVERYTHING["devices"].partition("Do you see a device that is not yours?")[2]
    ways = ["/.watchword/sessions/revoke-all", "/.watchword/password", "/.watchword/security"]
    assert re.findall(r'(?:href|action)="([^"]*)"', advice) == ways, "in this order"
    assert advice.count("button") >= 3
    assert "Add an authenticator app" in Parsed(EVERYTHING["devices, naming"]).text, "for who has none"


def test_times_are_exact_and_readable() -> None:
    used = {tag["datetime"] for tag in Parsed(EVERYTHING["devices"]).all("time")}
    assert "2026-05-05T16:52:20Z" in used


def test_a_waiting_device_is_told_where_to_be_authorised() -> None:
    page = Parsed(EVERYTHING["device waiting"])
    for words in (
        "Firefox on Linux 3 is new",
        "exchange.localhost:8080/.watchword/devices",
        "moves on by itself",
        "This device shows tidy fountain",
    ):
        assert words in page.text
    assert "It must show tidy fountain" in Parsed(EVERYTHING["devices"]).text
    (card,) = [tag for tag in page.all("section") if "data-events" in tag]
    assert card["data-events"] == "/.watchword/waiting/events?return_to=/withdrawals%3Fa%3D1"


@pytest.mark.parametrize("notice", Notice)
def test_what_was_done_is_said(notice: Notice) -> None:
    for html in (devices_of([], notice=notice), PAGES.security(HOLDER, [], [], NOW, notice=notice)):
        assert [tag["role"] for tag in Parsed(html).all("p") if "role" in tag] == ["status"]


@pytest.mark.parametrize("cause", [*Reason, *UpstreamFault])
@pytest.mark.parametrize("app", ["Exchange", None])
@pytest.mark.parametrize("repeatable", [True, False])
def test_every_refusal_says_what_next(
    cause: Reason | UpstreamFault, app: str | None, repeatable: bool
) -> None:
    page = Parsed(PAGES.refused(cause, 418, "7f3a91c2", app=app, repeatable=repeatable))
    assert "Error 418, reference 7f3a91c2" in page.text
    assert len(page.all("p")) == 3
    links = [link["href"] for link in page.all("a")][1:]
    assert links == ([""] if repeatable else []) + (["/"] if app else [])


def test_what_is_certain_is_said_and_what_is_not() -> None:
    assert "ended. This holds everywhere: 2 servers confirmed it within 3 ms." in notice_of(
        "devices, revoked"
    )
    assert "1 server did not answer, and lets nobody in unchecked." in notice_of("devices, session ended")
    assert "Some of our servers have not confirmed that yet" in notice_of("devices, revoked, pending")
    assert "This holds everywhere: 2 servers" in notice_of("security, password changed")
    assert "This holds everywhere" in EVERYTHING["signed out everywhere"]
    assert "This holds everywhere" not in EVERYTHING["signed out"]


def notice_of(name: str) -> str:
    return " ".join(Parsed(EVERYTHING[name]).text.split())


@pytest.mark.parametrize("scope", [Scope.SESSION, Scope.DEVICE, Scope.ACCOUNT])
def test_what_is_under_way_leads_to_where_one_can_go(scope: Scope) -> None:
    for signed_out, way_on in ((True, "/.watchword/sign-in"), (False, "/.watchword/devices")):
        page = Parsed(PAGES.under_way(scope, signed_out=signed_out))
        assert "being ended." in page.text
        password = ["/.watchword/password"] if scope is Scope.ACCOUNT else []
        assert [link["href"] for link in page.all("a")][1:] == [way_on, *password]


def test_signed_out_here_or_everywhere() -> None:
    assert "Every session on every device has ended." not in EVERYTHING["signed out"]
    assert "Every session on every device has ended." in EVERYTHING["signed out everywhere"]


@pytest.mark.parametrize(("name", "field"), [("wrong", "current"), ("unfit", "new")])
def test_what_is_wrong_with_a_password_stands_at_its_field(name: str, field: str) -> None:
    page = Parsed(EVERYTHING[f"password, {name}"])
    wrong = [found for found in page.all("input") if "aria-invalid" in found]
    assert [found["name"] for found in wrong] == [field]
    assert "error" in (wrong[0]["aria-describedby"] or "").split()


# --- headers


def test_the_headers_forbid_what_the_pages_do_not_need() -> None:
    policy = dict(part.split(" ", 1) for part in PAGE_HEADERS["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in PAGE_HEADERS["Content-Security-Policy"]
    assert PAGE_HEADERS["Cache-Control"] == "no-store"
    assert PAGE_HEADERS["X-Content-Type-Options"] == "nosniff"
    assert PAGE_HEADERS["Referrer-Policy"] == "same-origin"
