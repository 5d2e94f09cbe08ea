"""Mail on a real server: what arrives, what is refused, and what is safe about it."""

import asyncio
import ssl
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.mail import Mailbox, mail_server, reserved_port
from support.notices import ENTRY, LETTERS, MESSAGE, message
from support.tls import self_signed

from gateway.notice_settings import Mail
from gateway.notices import mail as mail_module
from gateway.notices.mail import MailSender
from gateway.notices.sending import NotSent


def sender(port: int, context: ssl.SSLContext | None = None, **changes: Any) -> MailSender:
    settings = {"host": "localhost", "port": port, "from": "Exchange <no-reply@exchange.example>"}
    return MailSender(Mail.model_validate({**settings, "security": "none", **changes}), LETTERS, context)


def text_of(mail: EmailMessage) -> str:
    return str(mail.get_content()).replace("\r\n", "\n")


async def refusal(sending: MailSender, about: Any = MESSAGE) -> NotSent:
    with pytest.raises(NotSent) as raised:
        await sending.send(about)
    assert "example" not in str(raised.value), "no address in the log"
    return raised.value


async def test_a_mail_arrives_as_it_was_written() -> None:
    async with mail_server() as mailbox:
        await sender(mailbox.port).send(MESSAGE)
        await sender(mailbox.port).send(MESSAGE)
    first, second = mailbox.mails
    assert first.as_bytes() == second.as_bytes(), "a repetition can be told by its Message-ID"
    letter = LETTERS.write(MESSAGE)
    assert (first["Subject"], text_of(first)) == (letter.subject, letter.body)
    assert (first["To"], first["From"]) == ("ada@example.org", "Exchange <no-reply@exchange.example>")
    assert first["Message-ID"] == f"<{MESSAGE.id}@exchange.example>"
    assert first["Auto-Submitted"] == "auto-generated"
    assert parsedate_to_datetime(first["Date"]).timestamp() == int(ENTRY.at)
    assert first.get_content_type() == "text/plain"
    assert mailbox.envelopes[0].mail_from == "no-reply@exchange.example"
    assert mailbox.envelopes[0].rcpt_tos == ["ada@example.org"]


async def test_other_alphabets_arrive_whole() -> None:
    about = message(to="ädä@exämple.org", device_name="Ноутбук Ады 电脑", user_agent="")
    async with mail_server() as mailbox:
        await sender(mailbox.port).send(about)
    assert "Device:  Ноутбук Ады 电脑\n" in text_of(mailbox.mails[0])
    assert mailbox.envelopes[0].rcpt_tos == ["ädä@exämple.org"]


# --- to whom


NO_ADDRESSES = [
    "",
    "ada",
    "@",
    "ada@",
    "@example.org",
    "ada@example.org, eve@evil.example",
    "ada@example.org;eve@evil.example",
    "ada@example.org\r\nBcc: eve@evil.example",
    "ada@example.org\nRCPT TO:<eve@evil.example>",
    "Ada <ada@example.org>",
    "<ada@example.org>",
    "ada@example.org> SIZE=1",
    "a:ada@example.org;",
    '"a b"@example.org',
    "ada@evil.example@example.org",
    "ada@exam\u2028ple.org",
    "ada@example.org\x00",
    "a" * 65 + "@example.org",
]


@pytest.mark.parametrize("to", NO_ADDRESSES)
async def test_what_is_no_address_is_sent_to_nobody(to: str) -> None:
    async with mail_server() as mailbox:
        assert (await refusal(sender(mailbox.port), message(to=to))).final
    assert mailbox.envelopes == []


@given(st.text())
def test_nothing_in_an_address_makes_a_header(to: str) -> None:
    composed = None
    try:
        composed = sender(25)._compose(message(to=f"{to}@example.org"))
    except NotSent as refused:
        assert refused.final
    if composed is not None:
        assert len(composed["To"].addresses) == 1
        assert composed.keys() == sender(25)._compose(MESSAGE).keys()


@pytest.mark.parametrize(
    "text", ["x\r\nBcc: eve@evil.example", "x\r\n.\r\nMAIL FROM:<eve@evil.example>", "\r\n.\r\n", "x\n\n<b>"]
)
async def test_nothing_in_a_message_makes_a_header_or_a_command(text: str) -> None:
    hostile = message(
        device_name=text, user_agent=text, reason=text, subject=text, address=text, actor=f"account:{text}"
    )
    async with mail_server() as mailbox:
        await sender(mailbox.port).send(MESSAGE)
        await sender(mailbox.port).send(hostile)
    usual, forged = mailbox.mails
    assert forged.keys() == usual.keys()
    assert mailbox.envelopes[1].rcpt_tos == ["ada@example.org"]
    assert len(mailbox.envelopes) == 2


# --- what goes wrong


@pytest.mark.parametrize(
    ("answer", "final"),
    [
        ("550 5.1.1 no such mailbox", True),
        ("550 no such mailbox", True),
        ("551 moved", True),
        ("450 4.2.1 try again later", False),
        ("452 4.2.2 mailbox full", False),
        ("550 5.7.1 relaying denied", False),
        ("554 5.7.1 your address is on a list", False),
    ],
)
async def test_a_refused_recipient_is_final_if_it_is_about_them(answer: str, final: bool) -> None:
    async with mail_server(Mailbox(rcpt=answer)) as mailbox:
        refused = await refusal(sender(mailbox.port))
    assert (refused.final, str(refused)) == (final, f"the mail server refused the recipient: {answer[:3]}")


@pytest.mark.parametrize("answer", ["451 4.3.0 later", "552 5.3.4 too large", "554 5.6.0 no"])
async def test_all_other_refusals_may_pass(answer: str) -> None:
    async with mail_server(Mailbox(data=answer)) as mailbox:
        refused = await refusal(sender(mailbox.port))
    assert not refused.final
    assert answer[:3] in str(refused)


async def test_a_server_that_is_away_may_come_back() -> None:
    away = reserved_port()
    assert not (await refusal(sender(away.getsockname()[1]))).final
    async with mail_server(listen_on=away) as mailbox:
        await sender(mailbox.port).send(MESSAGE)
    assert len(mailbox.mails) == 1


async def test_a_server_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_module, "SEND_SECONDS", 0.2)
    hung_up = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        hung_up.set()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    refused = await refusal(sender(server.sockets[0].getsockname()[1]))
    assert (refused.final, "Timeout" in str(refused)) == (False, True)
    await hung_up.wait()
    server.close()


@pytest.mark.parametrize("says", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220", b"\x00" * 2000, b""])
async def test_a_server_of_something_else_is_left(says: bytes) -> None:
    async def other(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(says)
        writer.close()

    server = await asyncio.start_server(other, "127.0.0.1", 0)
    assert not (await refusal(sender(server.sockets[0].getsockname()[1]))).final
    server.close()


async def test_a_goodbye_that_is_not_answered_does_not_unsend_a_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_module, "_QUIT_SECONDS", 0.1)
    mailbox = Mailbox()

    async def mute(*_: object) -> str:
        await asyncio.sleep(30)
        return "221 Bye"

    mailbox.handle_QUIT = mute  # type: ignore[attr-defined]
    async with mail_server(mailbox):
        await sender(mailbox.port).send(MESSAGE)
    assert len(mailbox.mails) == 1


# --- encryption


@pytest.fixture
def contexts(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's, and a client's that trusts it."""
    pem = tmp_path / "mail.pem"
    pem.write_bytes(self_signed("localhost"))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cafile=str(pem))


async def test_starttls_with_a_password(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    server, trusting = contexts
    login = {"security": "starttls", "user": "watchword", "password": "s3cret"}
    async with mail_server(tls_context=server, auth_required=True) as mailbox:
        await sender(mailbox.port, trusting, **login).send(MESSAGE)
        wrong = await refusal(sender(mailbox.port, trusting, **{**login, "password": "wrong"}))
        assert not wrong.final
        assert (await refusal(sender(mailbox.port, trusting, security="starttls"))).final is False
    assert mailbox.logins[0] == (b"watchword", b"s3cret")
    assert len(mailbox.mails) == 1


async def test_tls_from_the_first_byte(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    server, trusting = contexts
    async with mail_server(tls=server) as mailbox:
        await sender(mailbox.port, trusting, security="tls").send(MESSAGE)
    assert len(mailbox.mails) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_that_nobody_trusts_gets_no_mail(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], security: str
) -> None:
    server, _ = contexts
    options = {"tls": server} if security == "tls" else {"tls_context": server}
    async with mail_server(**options) as mailbox:
        await refusal(sender(mailbox.port, security=security, user="watchword", password="s3cret"))
    assert (mailbox.envelopes, mailbox.logins) == ([], [])


async def test_nothing_falls_back_to_plain_text() -> None:
    """Somebody on the way can take STARTTLS out of what the server offers."""
    async with mail_server(auth_require_tls=False) as mailbox:
        await refusal(sender(mailbox.port, security="starttls", user="watchword", password="s3cret"))
    assert (mailbox.envelopes, mailbox.logins) == ([], [])
