import re
from importlib.resources import files
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.ending import Scope
from gateway.core.reasons import Reason
from gateway.core.telling import TOLD
from gateway.errors import UpstreamFault
from gateway.portal.activity import REASONS
from gateway.portal.pages import Notice
from gateway.portal.texts import Texts
from gateway.settings import Resets
from gateway.store.confirming import Confirmation

PORTAL = files("gateway.portal")
ENGLISH = Texts.load("en")
LANGUAGES = [entry.name.removesuffix(".toml") for entry in (PORTAL / "languages").iterdir()]

# Keys that are put together from a prefix and a value of these.
COMPOSED = {
    "code.": [
        Reason.WRONG_CODE,
        Reason.USED_CODE,
        Reason.EXPIRED_CODE,
        Reason.MALFORMED_CODE,
        Reason.TOO_MANY_ATTEMPTS,
        Reason.CODES_LOCKED,
        Reason.FACTOR_ON_TRIAL,
    ],
    f"code.{Reason.WRONG_CLOCK}.": ["behind", "ahead"],
    "recovery.": [Reason.WRONG_RECOVERY_CODE, Reason.RECOVERY_NOT_ENOUGH, Reason.TOO_MANY_ATTEMPTS],
    "sign_in.": [
        Reason.WRONG_CREDENTIALS,
        Reason.TOO_MANY_ATTEMPTS,
        Reason.SESSION_EXPIRED,
        Reason.SESSION_REVOKED,
        Reason.DEVICE_REVOKED,
        Reason.ACCOUNT_DISABLED,
    ],
    "profile.": [Reason.UNFIT_EMAIL, Reason.EMAIL_FIXED],
    f"profile.{Reason.UNFIT_NAME}.": ["long", "unseen"],
    "password.": [Reason.WRONG_PASSWORD, Reason.TOO_MANY_ATTEMPTS],
    f"password.{Reason.UNFIT_PASSWORD}.": ["short", "long", "same", "name"],
    "notice.": list(Notice),
    "activity.event.": [
        *TOLD,
        *("account-added", "signed-in", "sign-in-refused", "password-refused", "protection-on"),
        *("code-taken", "code-refused", "factor-begun", "factor-given-up", "recovery-code-refused"),
        *("device-added", "device-renamed", "device-revoked", "session-revoked", "reset-evidence"),
    ],
    "activity.reason.": list(REASONS),
    "activity.item.": Resets().evidence,
    f"devices.{Reason.UNFIT_NAME}.": ["empty", "long", "unseen"],
    "words.": ["first", "second"],
    "confirmed.": ["alone", "ms"],
    "under_way.": [Scope.DEVICE, Scope.SESSION, Scope.ACCOUNT],
}
RESET_ENDS = ("reset_stopped", "reset_over", "reset_link")
REFUSALS = [
    *UpstreamFault,
    Reason.DENIED,
    Reason.BAD_REQUEST,
    Reason.UNKNOWN_HOST,
    Reason.METHOD_REFUSED,
    Reason.WRONG_ORIGIN,
    Reason.BODY_UNREADABLE,
    Reason.BODY_TOO_LARGE,
    Reason.BODY_UNSEEN,
    Reason.NOT_FOUND,
    Reason.STORE_UNAVAILABLE,
    Reason.OVERLOADED,
    Reason.TOO_MANY_ATTEMPTS,
    "other",
]


def composed() -> set[str]:
    keys = {f"{prefix}{value}" for prefix, values in COMPOSED.items() for value in values}
    keys |= {f"refused.{cause}.{part}" for cause in REFUSALS for part in ("title", "body", "next")}
    keys |= {f"{key}.{part}" for key in (*RESET_ENDS, "cannot_tell") for part in ("title", "body", "next")}
    return keys | {
        f"{key}.{part}" for key in ("signed_out", "signed_out_everywhere") for part in ("title", "body")
    }


def literal() -> set[str]:
    """The keys that templates and pages.py name in full."""
    sources = [entry.read_text() for entry in (PORTAL / "templates").iterdir()]
    sources.append((PORTAL / "pages.py").read_text())
    named = re.findall(r"""\bt\(\s*["']([a-z0-9_.\-]+)["']\s*[,)]""", "".join(sources))
    chosen = re.findall(r"""\bt\("([a-z0-9_.]+)" if .+? else "([a-z0-9_.]+)"[,)]""", "".join(sources))
    return {*named, *(key for pair in chosen for key in pair)}


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def counted(key: str) -> bool:
    return key.rpartition(".")[2] in {"one", "other"} and not key.startswith("refused.")


def test_every_text_is_used_and_every_used_text_exists() -> None:
    texts = {key for key in ENGLISH.entries if not counted(key)} - {"ago.now", "wait.minutes_and_a_half"}
    assert texts == literal() | composed()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_texts_of_english(language: str) -> None:
    texts = Texts.load(language)
    assert {key for key in texts.entries if not counted(key)} == {
        key for key in ENGLISH.entries if not counted(key)
    }
    for key, text in texts.entries.items():
        assert text == text.strip() != ""
        assert not re.search(r"[<>]|&\w+;", text), f"{key} has markup"
        if key in ENGLISH:
            assert placeholders(text) == placeholders(ENGLISH.entries[key]), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_to_compare_are_many_and_unlike_each_other(language: str) -> None:
    texts = Texts.load(language)
    first, second = texts("words.first").split(), texts("words.second").split()
    for words in (first, second):
        assert len(words) >= 64
        assert all(word.isalpha() and 3 <= len(word) <= 10 for word in words)
    assert len({*first, *second}) == len(first) + len(second)


@given(st.integers(0, 2**128 - 1))
def test_a_seed_has_its_words(seed: int) -> None:
    words = ENGLISH.words(f"{seed:032x}")
    assert words is not None
    one, other = words.split()
    assert one in ENGLISH("words.first").split()
    assert other in ENGLISH("words.second").split()
    assert words == ENGLISH.words(f"{seed:032x}")


@pytest.mark.parametrize(
    ("nodes", "silent", "ms", "said"),
    [
        (1, 0, 0.2, "This holds everywhere: 1 server confirmed it within 1 ms."),
        (2, 0, 2.01, "This holds everywhere: 2 servers confirmed it within 3 ms."),
        (8, 0, 999.2, "This holds everywhere: 8 servers confirmed it within 1 second."),
        (8, 0, 1000.2, "This holds everywhere: 8 servers confirmed it within 2 seconds."),
        (
            *(2, 1, 3078.3),
            "This holds everywhere: 2 servers confirmed it within 4 seconds. "
            "1 server did not answer, and lets nobody in unchecked.",
        ),
        (0, 2, 3078.3, "This holds everywhere. 2 servers did not answer, and let nobody in unchecked."),
        (0, 0, 1.0, "This holds everywhere."),
    ],
)
def test_a_confirmation_is_told_without_promising_too_much(
    nodes: int, silent: int, ms: float, said: str
) -> None:
    assert ENGLISH.confirmed(Confirmation(nodes, silent, ms)) == said


def test_every_pair_of_words_can_come_up() -> None:
    number = len(ENGLISH("words.first").split()) * len(ENGLISH("words.second").split())
    assert len({ENGLISH.words(f"{seed:x}") for seed in range(number)}) == number
    assert ENGLISH.words("") is None


def test_a_language_without_catalogue_is_not_found() -> None:
    with pytest.raises(FileNotFoundError):
        Texts.load("tlh")


@pytest.mark.parametrize("values", [{}, {"name": "Exchange"}])
def test_a_placeholder_without_value_is_an_error(values: dict[str, str]) -> None:
    with pytest.raises(KeyError):
        ENGLISH("back_to", **values)


def test_values_are_not_read_as_placeholders() -> None:
    assert ENGLISH("back_to", app="{brand} {0} {") == "Back to {brand} {0} {"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-30, "just now"),
        (0, "just now"),
        (59.9, "just now"),
        (60, "1 minute ago"),
        (150, "2 minutes ago"),
        (3599, "59 minutes ago"),
        (3600, "1 hour ago"),
        (86399, "23 hours ago"),
        (86400, "1 day ago"),
        (45 * 86400, "1 month ago"),
        (364 * 86400, "12 months ago"),
        (800 * 86400, "2 years ago"),
    ],
)
def test_ago(seconds: float, text: str) -> None:
    assert ENGLISH.ago(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1 second"),
        (1, "1 second"),
        (30, "30 seconds"),
        (90, "90 seconds"),
        (91, "2 minutes"),
        (120, "2 minutes"),
        (121, "3 minutes"),
        (900, "15 minutes"),
        (5400, "90 minutes"),
        (5401, "2 hours"),
        (48 * 3600, "48 hours"),
        (48 * 3600 + 1, "3 days"),
        (259_200, "3 days"),
    ],
)
def test_wait(seconds: int, text: str) -> None:
    assert ENGLISH.wait(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "30 seconds"),
        (30, "30 seconds"),
        (60, "1 minute"),
        (70, "1 minute"),
        (80, "1½ minutes"),
        (90, "1½ minutes"),
        (180, "3 minutes"),
        (570, "9½ minutes"),
        (600, "10 minutes"),
    ],
)
def test_roughly(seconds: int, text: str) -> None:
    assert ENGLISH.roughly(seconds) == text


@given(st.integers(0, 10**6))
def test_who_waits_as_told_has_waited_long_enough(seconds: int) -> None:
    count, unit = ENGLISH.wait(seconds).split()
    assert int(count) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[unit[0]] >= seconds
