"""One request together with what was found out about it, on its way to being decided."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Self, TypeVar

from aiohttp import web

from gateway.core.decision import Decision, Permit, decide
from gateway.core.policy.model import App, Match
from gateway.core.records import Grant, Snapshot
from gateway.web.inbound import Inbound

Answer = TypeVar("Answer", bound=web.StreamResponse)


@dataclass(frozen=True, slots=True)
class Visit:
    """`app` is the one whose host was asked for; `match` may belong to the gateway's own pages there.

    `snapshot` is who asks; `as_of` is when that began to be found out, for whoever has to know which endings
    of sessions came later. `deliver` sends the request on once it is allowed; `set_cookies` are Set-Cookie
    values that go out with the answer, whatever it is.
    """

    inbound: Inbound
    app: App
    match: Match
    deliver: "Deliver"
    snapshot: Snapshot | None = None
    set_cookies: tuple[str, ...] = ()
    as_of: tuple[int, float] | None = None

    def decide(self, binding: str | None = None) -> Decision:
        return decide(self.inbound.target, self.match, self.snapshot, self.inbound.now, binding)

    def with_grant(self, grant: Grant | None) -> Self:
        """The same, once a code has brought a grant."""
        if self.snapshot is None or grant is None:
            return self
        return replace(self, snapshot=replace(self.snapshot, grants=(*self.snapshot.grants, grant)))

    def without_grant(self, grant: Grant) -> Self:
        """The same, once somebody else has used up a grant."""
        if self.snapshot is None:
            return self
        left = tuple(held for held in self.snapshot.grants if held != grant)
        return replace(self, snapshot=replace(self.snapshot, grants=left))

    def with_cookie(self, set_cookie: str | None) -> Self:
        return self if set_cookie is None else replace(self, set_cookies=(*self.set_cookies, set_cookie))

    def with_device_confirmed(self) -> Self:
        """The same, once a code has vouched for the device."""
        if self.snapshot is None or self.snapshot.device is None:
            return self
        device = self.snapshot.device.confirmed(self.inbound.now)
        return replace(self, snapshot=replace(self.snapshot, device=device))

    def answered(self, response: Answer) -> Answer:
        """An answer of our own that is not under way yet, with the cookies that this visit brought."""
        for cookie in self.set_cookies:
            response.headers.add("Set-Cookie", cookie)
        return response


Deliver = Callable[[Visit, Permit], Awaitable[web.StreamResponse]]
