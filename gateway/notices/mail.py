"""Mail: one connection for each message, encrypted unless the server is on this machine."""

import asyncio
import re
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime

from aiosmtplib import SMTP, SMTPException, SMTPRecipientsRefused, SMTPResponseException

from gateway.notice_settings import Mail, sender_of
from gateway.notices.letters import Letters
from gateway.notices.sending import NotSent
from gateway.store.outbox import Message

SEND_SECONDS = 30.0
"""How long a mail server may take for a message."""

_QUIT_SECONDS = 1.0

# Stricter than RFC 5321: nothing that a header, an envelope or a list of addresses reads as a separator.
_ADDRESS = re.compile(r"""[^\s@<>()\[\],;:\\"]{1,64}@[^\s@<>()\[\],;:\\"]{1,253}""")

_POLICY_REFUSAL = "5.7."
"""RFC 3463: the server refuses us, not the recipient, which can be put right."""


class MailSender:
    def __init__(self, mail: Mail, letters: Letters, context: ssl.SSLContext | None = None) -> None:
        """`context` says which certificates are trusted, in place of the system's."""
        self._mail = mail
        self._letters = letters
        self._context = context
        self._from = sender_of(mail.sender)

    async def send(self, message: Message) -> None:
        """Send a message to its address. Raises NotSent."""
        mail = self._compose(message)
        client = self._client()
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await client.connect()
                await client.send_message(mail, sender=self._from.addr_spec, recipients=[message.to])
        except SMTPRecipientsRefused as refused:
            raise _refused(refused) from None
        except SMTPResponseException as error:
            raise NotSent(f"the mail server answered {error.code} ({type(error).__name__})") from None
        except (SMTPException, OSError, TimeoutError) as error:
            raise NotSent(f"the mail server cannot be used: {type(error).__name__}") from None
        finally:
            await _leave(client)

    async def close(self) -> None:
        """Each message closes its own connection."""

    def _client(self) -> SMTP:
        mail = self._mail
        return SMTP(
            hostname=mail.host,
            port=mail.port,
            username=mail.user,
            password=mail.password.get_secret_value() if mail.password else None,
            use_tls=mail.security == "tls",
            # Never None, with which aiosmtplib goes on in plain text where STARTTLS is missing.
            start_tls=mail.security == "starttls",
            tls_context=self._context if mail.security != "none" else None,
            local_hostname=self._from.domain,  # the default is a look-up in the DNS
            timeout=SEND_SECONDS,
        )

    def _compose(self, message: Message) -> EmailMessage:
        """The same each time that a message is sent. Raises NotSent for an address that is none."""
        if not _ADDRESS.fullmatch(message.to) or not message.to.isprintable():
            raise NotSent("the account's e-mail address is none", final=True)
        local, _, domain = message.to.partition("@")
        letter = self._letters.write(message)
        mail = EmailMessage(policy=SMTP_POLICY)
        mail["From"] = self._from
        mail["To"] = Address(username=local, domain=domain)
        mail["Subject"] = letter.subject
        mail["Date"] = format_datetime(datetime.fromtimestamp(int(message.entry.at), UTC))
        mail["Message-ID"] = f"<{message.id}@{self._from.domain}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence note answers
        mail.set_content(letter.body, cte="quoted-printable")
        return mail


def _refused(error: SMTPRecipientsRefused) -> NotSent:
    """What the server says of the recipient is final, if it is for good and about the recipient."""
    codes = [(refused.code, refused.message.startswith(_POLICY_REFUSAL)) for refused in error.recipients]
    final = all(code >= 500 and not about_us for code, about_us in codes)
    return NotSent(f"the mail server refused the recipient: {codes[0][0]}", final=final)


async def _leave(client: SMTP) -> None:
    """Say goodbye and hang up. Whether that works has no part in whether a message was sent."""
    if client.is_connected:
        with suppress(SMTPException, OSError, TimeoutError):
            async with asyncio.timeout(_QUIT_SECONDS):
                await client.quit()
    client.close()
