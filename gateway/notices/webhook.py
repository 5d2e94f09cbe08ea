"""Signed messages to another program, in the form of Standard Webhooks 1.0.0."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar
from pydantic import SecretStr

from gateway import __version__, clock
from gateway.notice_settings import Webhook, key_of
from gateway.notices.sending import NotSent
from gateway.store.outbox import Message

SEND_SECONDS = 10.0
"""How long the receiver may take for a message."""


class WebhookSender:
    def __init__(self, webhook: Webhook) -> None:
        """Must be made within a running event loop."""
        self._url = webhook.url
        self._key = key_of(webhook.secret or SecretStr(""))
        # Nothing from the environment, no cookies of earlier answers: each message is all there is.
        self._session = ClientSession(
            cookie_jar=DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            timeout=ClientTimeout(total=SEND_SECONDS),
            headers={"Content-Type": "application/json", "User-Agent": f"Watchword/{__version__}"},
        )

    async def send(self, message: Message) -> None:
        """POST a message; any 2xx means that it arrived. Raises NotSent."""
        body = payload(message)
        headers = signed_headers(message.id, body, self._key, clock.now())
        try:
            # Elsewhere would be another receiver, whom nobody configured.
            async with self._session.post(
                self._url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                if not 200 <= answer.status < 300:
                    raise NotSent(f"the receiver answered {answer.status}")
        except (ClientError, OSError, TimeoutError) as error:
            raise NotSent(f"the receiver cannot be reached: {type(error).__name__}") from None

    async def close(self) -> None:
        await self._session.close()


def payload(message: Message) -> bytes:
    """What happened, as JSON; null is what there is none of."""
    entry = message.entry
    value = {
        "type": entry.event,
        "timestamp": datetime.fromtimestamp(entry.at, UTC).isoformat(),
        "data": {
            "subject": entry.subject,
            "actor": entry.actor,
            "session": entry.session_id or None,
            "device": entry.device_id or None,
            "device_name": entry.device_name or None,
            "address": entry.address or None,
            "reason": entry.reason or None,
        },
    }
    return json.dumps(value, separators=(",", ":")).encode()


def signed_headers(message_id: str, body: bytes, key: bytes, now: float) -> dict[str, str]:
    """Who sent a body, and when, as the receiver can check: HMAC-SHA256 over id, time and body."""
    timestamp = str(int(now))
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
    }
