"""How people are told: what the settings may say, and what they must not."""

from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from gateway.core.telling import Channel
from gateway.notice_settings import Mail, Notices, Webhook, key_of, sender_of

KEY = b"k" * 32
SECRET = "whsec_" + b64encode(KEY).decode()
MAIL = {"host": "mail.example", "from": "no-reply@exchange.example"}
HOOK = {"url": "https://hooks.example/in?x=1", "secret": SECRET}
ADDRESS = "https://exchange.example"


def faults(shape: Any, **values: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        shape.model_validate(values)
    return str(raised.value.errors(include_input=False))


def test_without_anything_nobody_is_told() -> None:
    assert (Notices().channels, Notices().keep) == ((), 7 * 86400)


def test_each_channel_by_itself_and_both() -> None:
    assert Notices.model_validate({"mail": MAIL, "address": ADDRESS}).channels == (Channel.MAIL,)
    assert Notices.model_validate({"webhook": HOOK}).channels == (Channel.WEBHOOK,)
    both = Notices.model_validate({"mail": MAIL, "webhook": HOOK, "address": f"{ADDRESS}/"})
    assert both.channels == tuple(Channel)
    assert both.address == ADDRESS, "without what a link would double"


def test_mails_need_an_address_for_their_links() -> None:
    assert "give the address that they start with" in faults(Notices, mail=MAIL)


def test_mail_is_safe_by_default() -> None:
    mail = Mail.model_validate(MAIL)
    assert (mail.port, mail.security, mail.user) == (587, "starttls", None)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"security": "none"}, "on loopback only"),
        ({"security": "opportunistic"}, "literal_error"),
        ({"port": 0}, "greater_than_equal"),
        ({"user": "u"}, "give both user and password"),
        ({"password": "p"}, "give both user and password"),
        ({"user": "u", "password": "p", "password_file": "f"}, "not both"),
        ({"from": "nobody"}, "must be one e-mail address"),
        ({"from": "a@"}, "must be one e-mail address"),
        ({"from": '"'}, "must be one e-mail address"),
        ({"from": "a@b.example, c@d.example"}, "must be one e-mail address"),
        ({"from": "a@b.example\nBcc: c@d.example"}, "one line of visible text"),
        ({"host": ""}, "one line of visible text"),
    ],
)
def test_faults_of_mail(changes: dict[str, Any], fault: str) -> None:
    assert fault in faults(Mail, **{**MAIL, **changes})


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "mail.localhost"])
def test_plain_mail_stays_on_this_machine(host: str) -> None:
    assert Mail.model_validate({**MAIL, "host": host, "security": "none"}).security == "none"


def test_a_sender_may_have_a_name() -> None:
    found = sender_of('"Exchange, Inc." <no-reply@exchange.example>')
    assert (found.display_name, found.addr_spec) == ("Exchange, Inc.", "no-reply@exchange.example")


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://hooks.example/", "must start with https://"),
        ("ftp://localhost/", "must start with https://"),
        ("https://", "must be an address such as"),
        ("https://user:s3cret@hooks.example", "must be an address such as"),
        ("https://hooks.example/#s3cret", "must be an address such as"),
        ("https://[s3cret", "must be an address such as"),
        ("https://hooks.example:0", "must be an address such as"),
        ("hooks.example", "must be an address such as"),
    ],
)
def test_faults_of_addresses(url: str, fault: str) -> None:
    for found in (faults(Webhook, url=url, secret=SECRET), faults(Notices, address=url)):
        assert fault in found
        assert "s3cret" not in found


@pytest.mark.parametrize("url", [f"{ADDRESS}/app", f"{ADDRESS}?x"])
def test_links_start_at_the_front_page(url: str) -> None:
    assert "without a path" in faults(Notices, address=url)


@pytest.mark.parametrize("url", ["http://localhost:9", "http://127.0.0.1:9/in", "http://[::1]:9"])
def test_plain_http_is_for_loopback(url: str) -> None:
    assert Webhook.model_validate({"url": url, "secret": SECRET}).url == url


def test_a_webhook_has_one_secret() -> None:
    assert "give secret or secret-file" in faults(Webhook, url=HOOK["url"])
    assert "give secret or secret-file" in faults(Webhook, **HOOK, secret_file="f")


@given(st.binary(min_size=24, max_size=64))
def test_a_secret_is_bytes_in_base64(key: bytes) -> None:
    assert key_of(SecretStr("whsec_" + b64encode(key).decode())) == key


@given(st.one_of(st.text(), st.binary(max_size=23).map(lambda key: "whsec_" + b64encode(key).decode())))
def test_what_is_no_secret_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be whsec_"):
        key_of(SecretStr(text))


def test_no_secret_is_shown() -> None:
    made = Notices.model_validate(
        {"mail": {**MAIL, "user": "u", "password": "s3cret"}, "webhook": HOOK, "address": ADDRESS}
    )
    assert "s3cret" not in repr(made) and SECRET not in repr(made)
