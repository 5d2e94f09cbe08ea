"""A real mail server, with a mailbox to look into."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword


@dataclass
class Mailbox:
    """What arrived; `rcpt` and `data` are what the server answers, until a test changes that."""

    port: int = 0
    envelopes: list[Envelope] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)
    rcpt: str = "250 OK"
    data: str = "250 OK"
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.rcpt.startswith("2"):
            envelope.rcpt_tos.append(address)
        return self.rcpt

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Envelope) -> str:  # noqa: N802
        if self.data.startswith("2"):
            async with self._arrived:
                self.envelopes.append(envelope)
                self._arrived.notify_all()
        return self.data

    def authenticate(
        self, server: SMTP, session: Any, envelope: Any, mechanism: str, data: Any
    ) -> AuthResult:
        login = cast(LoginPassword, data)
        self.logins.append((login.login, login.password))
        return AuthResult(success=login.password == b"s3cret")

    async def until(self, count: int) -> list[EmailMessage]:
        """Wait for so many mails; pytest's timeout ends what never comes."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.envelopes) >= count)
        return self.mails

    @property
    def mails(self) -> list[EmailMessage]:
        return [
            cast(EmailMessage, message_from_bytes(cast(bytes, envelope.content), policy=default))
            for envelope in self.envelopes
        ]


def reserved_port() -> socket.socket:
    """A port where nobody listens, and nobody else can meanwhile: `listen_on` it for a server to come up."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    return bound


@asynccontextmanager
async def mail_server(
    mailbox: Mailbox | None = None,
    *,
    listen_on: socket.socket | None = None,
    tls: ssl.SSLContext | None = None,
    **options: Any,
) -> AsyncIterator[Mailbox]:
    """Serve while the block runs; `tls` from the first byte, `tls_context` among the options for STARTTLS."""
    mailbox, listen_on = mailbox or Mailbox(), listen_on or reserved_port()
    loop = asyncio.get_running_loop()
    factory: Callable[[], SMTP] = lambda: SMTP(  # noqa: E731
        mailbox, enable_SMTPUTF8=True, authenticator=mailbox.authenticate, loop=loop, **options
    )
    server = await loop.create_server(factory, sock=listen_on, ssl=tls)
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        server.close()
