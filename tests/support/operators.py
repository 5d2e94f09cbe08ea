"""Operators, who call the operators' API and read what it answers."""

from dataclasses import dataclass
from typing import Any

from aiohttp.test_utils import TestClient
from multidict import CIMultiDictProxy
from support.store import RING

from gateway import clock
from gateway.admin.tokens import Scope, issue_token
from gateway.errors import Fault
from gateway.web.metrics import Metrics


@dataclass(frozen=True)
class Answer:
    """`body` is the JSON, or None if it is something else."""

    status: int
    headers: CIMultiDictProxy[str]
    text: str
    body: Any


@dataclass(frozen=True)
class Operators:
    """A client of the API, its counts, and the faults that the policies on disk are said to have."""

    client: TestClient[Any, Any]
    metrics: Metrics
    policy_faults: list[Fault]

    async def call(
        self, method: str, path: str, token: str | None = None, *, headers: Any = (), **options: Any
    ) -> Answer:
        bearer = [("Authorization", f"Bearer {token}")] if token else []
        async with self.client.request(method, path, headers=[*bearer, *headers], **options) as response:
            text = await response.text()
            is_json = response.content_type.endswith("json") and method != "HEAD"
            body = await response.json(content_type=None) if is_json else None
            return Answer(response.status, response.headers, text, body)

    async def read(self, path: str) -> Answer:
        """A GET by grace, who may read."""
        return await self.call("GET", path, token_of("grace", Scope.READ))

    async def revoke(self, **order: Any) -> Answer:
        """A revocation by grace, who may revoke."""
        return await self.call("POST", "/v1/revocations", token_of("grace", Scope.REVOKE), json=order)


def token_of(name: str, *scopes: Scope) -> str:
    """A token that counts for an hour."""
    return issue_token(RING, name, frozenset(scopes), 3600, clock.now())
