"""How account holders are told what happens to their accounts: the section `notices` of the settings."""

import base64
import binascii
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from gateway.core.located import Shape
from gateway.core.telling import Channel
from gateway.core.values import Duration, Port, Text, is_loopback

_DAY = 86_400.0
_SECRET_PREFIX = "whsec_"  # noqa: S105 - how a secret begins, not one


def sender_of(text: str) -> Address:
    """The one address in `text`, such as `Watchword <no-reply@exchange.example>`. Raises ValueError."""
    mail = EmailMessage(policy=SMTP)
    try:
        mail["From"] = text
        found = mail["From"]
        one: tuple[Address, ...] = () if found.defects else found.addresses
    except IndexError:  # what the parser of the standard library says of a header that ends too soon
        one = ()
    if len(one) != 1 or not one[0].domain:
        raise ValueError("must be one e-mail address, such as Watchword <no-reply@exchange.example>")
    return one[0]


def key_of(secret: SecretStr) -> bytes:
    """The bytes that a webhook's secret stands for, in the form of Standard Webhooks. Raises ValueError."""
    text = secret.get_secret_value()
    try:
        key = base64.b64decode(text.removeprefix(_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(_SECRET_PREFIX) or not 24 <= len(key) <= 64:
        raise ValueError("must be whsec_ and then 24 to 64 random bytes in base64")
    return key


def _sender(text: str) -> str:
    sender_of(text)
    return text


def _webhook_secret(secret: SecretStr) -> SecretStr:
    key_of(secret)
    return secret


def _parts(url: str) -> SplitResult:
    """What a web address is made of. Raises ValueError, which does not quote it: it may hold a password."""
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        parts, host = SplitResult("", "", "", "", ""), None
    if not host or parts.username is not None or parts.fragment:
        raise ValueError("must be an address such as https://exchange.example, without a name or password")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ValueError("must start with https://, or on loopback with http://")
    return parts


def _url(url: str) -> str:
    _parts(url)
    return url


def _origin(url: str) -> str:
    parts = _parts(url)
    if parts.path not in ("", "/") or parts.query:
        raise ValueError("must be an address without a path, such as https://exchange.example")
    return f"{parts.scheme}://{parts.netloc}"


Sender = Annotated[Text, AfterValidator(_sender)]
WebhookSecret = Annotated[SecretStr, AfterValidator(_webhook_secret)]
Url = Annotated[Text, AfterValidator(_url)]
Origin = Annotated[Text, AfterValidator(_origin)]


class Mail(Shape):
    """A mail server. After loading, `password` holds what `password-file` holds."""

    host: Text
    port: Annotated[Port, Field(ge=1)] = 587
    sender: Sender = Field(alias="from")
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: Text | None = None
    password: SecretStr | None = None
    password_file: Path | None = None

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.password and self.password_file:
            raise ValueError("give password or password-file, not both")
        if bool(self.user) != bool(self.password or self.password_file):
            raise ValueError("give both user and password, or neither")
        if self.security == "none" and not is_loopback(self.host):
            raise ValueError("security: none is for a mail server on loopback only")
        return self


class Webhook(Shape):
    """Where signed messages go. After loading, `secret` holds what `secret-file` holds."""

    url: Url
    secret: WebhookSecret | None = None
    secret_file: Path | None = None

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if bool(self.secret) == bool(self.secret_file):
            raise ValueError("give secret or secret-file, one of them")
        return self


class Notices(Shape):
    """`address` is where links in mails lead; what cannot be sent for `keep` is given up."""

    mail: Mail | None = None
    webhook: Webhook | None = None
    address: Origin | None = None
    keep: Duration = 7 * _DAY

    @model_validator(mode="after")
    def _links_lead_somewhere(self) -> Self:
        if self.mail and not self.address:
            raise ValueError("mails hold links: give the address that they start with")
        return self

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The ways on which people are told."""
        configured = {Channel.MAIL: self.mail, Channel.WEBHOOK: self.webhook}
        return tuple(channel for channel in Channel if configured[channel])
