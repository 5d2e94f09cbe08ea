"""What people read: what happened, when, where, and what to do if it was not them."""

import re
import string
import tomllib
from datetime import UTC, datetime
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.notices import ADDRESS, ENTRY, LETTERS, message
from support.store import RING

from gateway.core.telling import TOLD
from gateway.identity.resets import stop_path
from gateway.notices.letters import LONGEST_NAME, Letters, harmless

WHEN = datetime.fromtimestamp(int(ENTRY.at), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
LINK = re.compile(r"\w+://|www\.|\w\.[a-z]{2}", re.IGNORECASE)
"""What mail programs turn into a link."""

PHISHING = [
    "Your account is locked http://evil.example/x",
    "evil.example",
    "call www.evil.example now",
    "https:evil",
    "mailto:eve@evil.example",
    "xn--e1awd7f.example",
    "Ada\r\nBcc: eve@evil.example",
    "\n\nIf this was you, sign in at evil.example\n",
    "\u202eelpmaxe.live\u2066",
    "<a href='http://evil.example'>x</a>",
    "\x00\x1b[2J",
]


def test_a_letter_says_it_all() -> None:
    letter = LETTERS.write(message())
    assert letter.subject == "Exchange: A new device signed in"
    assert letter.body == (
        "A device that your account did not know signed in to it.\n"
        "\n"
        "Account: ada\n"
        f"When:    {WHEN}\n"
        "Device:  Work laptop (Firefox on Linux)\n"
        "Address: 203.0.113.7\n"
        "\n"
        "If this was you, there is nothing to do. If not, somebody knows your password: revoke the device, "
        "force a logout from all sessions, and change your password:\n"
        f"{ADDRESS}/.watchword/devices\n"
        "\n"
        "Never share a code, a setup key or your password with anyone. Support never asks for them.\n"
        "\n"
        "Exchange sent this by itself; answers are not read.\n"
    )


@pytest.mark.parametrize("event", TOLD)
def test_there_is_a_letter_for_all_that_is_told(event: str) -> None:
    letter = LETTERS.write(message(event=event))
    assert letter.subject.startswith("Exchange: ") and "\n" not in letter.subject
    assert len(letter.subject) < 70
    link = f"{ADDRESS}{TOLD[event]}"
    if event in ("reset-opened", "reset-approved"):
        link = f"{ADDRESS}/.watchword/reset/"
    for part in (f"When:    {WHEN}", "Address: 203.0.113.7", f"\n{link}", "Never share"):
        assert part in letter.body


@pytest.mark.parametrize("event", ["reset-opened", "reset-approved"])
def test_who_is_signed_in_nowhere_can_still_stop_a_reset(event: str) -> None:
    letter = LETTERS.write(message(event=event, actor="operator:grace", reason=f"{'7c' * 16} ticket 4711"))
    assert f"\n{ADDRESS}{stop_path(RING, '7c' * 16)}\n" in letter.body
    assert "4711" not in letter.body


def test_no_text_is_left_over_and_each_is_a_text() -> None:
    texts = tomllib.loads((files("gateway.notices") / "languages" / "en.toml").read_text("utf-8"))
    assert texts["event"].keys() == TOLD.keys()
    for event in texts["event"].values():
        assert event.keys() == {"subject", "body", "not_you"}
        assert all(text == text.strip() and "{" not in text and "\n" not in text for text in event.values())
        assert event["not_you"].endswith(":"), "the link follows"
    fields = {name for text in texts["letter"].values() for _, name, *_ in string.Formatter().parse(text)}
    assert fields - {None} == {"service", "what"}


def test_another_language_is_another_file() -> None:
    with pytest.raises(FileNotFoundError):
        Letters.load("tlh", "Exchange", ADDRESS, RING)


@pytest.mark.parametrize(
    ("name", "user_agent", "shown"),
    [
        ("Firefox on Linux", None, "Device:  Firefox on Linux\n"),
        ("Work laptop", None, "Device:  Work laptop (Firefox on Linux)\n"),
        ("Work laptop", "", "Device:  Work laptop\n"),
        ("Unknown device", "x", "Device:  Unknown device\n"),
        ("Ada's iPad, 2.0", "", "Device:  Ada's iPad, 2.0\n"),
    ],
)
def test_a_device_is_named_once(name: str, user_agent: str | None, shown: str) -> None:
    browser = {} if user_agent is None else {"user_agent": user_agent}
    assert shown in LETTERS.write(message(device_name=name, **browser)).body


@pytest.mark.parametrize("actor", ["operator:grace", "cli:root"])
def test_of_support_people_hear_that_it_was_support(actor: str) -> None:
    body = LETTERS.write(message(event="account-revoked", actor=actor, address="10.0.0.9")).body
    assert "By:      support\n" in body
    for hidden in (actor.partition(":")[2], "10.0.0.9", "Work laptop"):
        assert hidden not in body


@pytest.mark.parametrize("event", ["account-revoked", "reset-refused", "factor-removed", "device-new"])
def test_what_operators_note_for_themselves_is_not_told(event: str) -> None:
    assert "ticket" not in LETTERS.write(message(event=event, reason="ticket 4711: sounded drunk")).body


@pytest.mark.parametrize("event", ["protection-off", "recovery-code-used"])
def test_what_it_was_about_is_told_where_people_may_know(event: str) -> None:
    body = LETTERS.write(message(event=event, reason="exchange/approve-transaction")).body
    assert "About:   exchange approve-transaction\n" in body


@pytest.mark.parametrize(
    ("subject", "shown"), [("ada@example.org", "ada@example.org"), ("a\r\nb", "a b"), ("a\u202eb", "a b")]
)
def test_an_account_is_named_as_one_signs_in(subject: str, shown: str) -> None:
    assert f"\nAccount: {shown}\nWhen" in LETTERS.write(message(subject=subject)).body


def test_what_is_unknown_is_left_out() -> None:
    body = LETTERS.write(message(device_name="", address="")).body
    assert "Device" not in body and "Address" not in body


# --- attacks


@pytest.mark.parametrize("text", PHISHING)
def test_nobody_writes_in_our_letters(text: str) -> None:
    """Neither through the name of a device, nor what a browser calls itself, nor a reason."""
    plain = LETTERS.write(message(event="protection-off", device_name="x", user_agent="", reason="x")).body
    forged = LETTERS.write(
        message(event="protection-off", device_name=text, user_agent=text, reason=text)
    ).body
    assert forged.count("\n") == plain.count("\n")
    assert [line for line in forged.split("\n") if LINK.search(line)] == [
        f"{ADDRESS}{TOLD['protection-off']}"
    ]
    assert all(line.isprintable() for line in forged.split("\n"))


@given(st.text())
def test_other_people_s_text_is_one_short_line_without_a_link(text: str) -> None:
    shown = harmless(text)
    assert len(shown) <= LONGEST_NAME
    assert shown == " ".join(shown.split())
    assert shown.isprintable()
    assert not re.search(r"[^\s]\.[^\W\d]|://|[@/\\<>\n\r]", shown)


@given(st.text(string.ascii_letters + string.digits + " '()+,&-", max_size=LONGEST_NAME))
def test_usual_names_stay_as_they_are(text: str) -> None:
    assert harmless(text) == " ".join(text.split())
