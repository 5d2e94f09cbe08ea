"""The people who use what the gateways guard, and the operators who throw them out."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count

from bench.faults.calling import Answer, Caller
from bench.faults.ending import end
from bench.faults.history import CONFIRMED, PENDING, Request, Revocation, Session
from bench.faults.servers import Gateway

PASSWORD = "correct horse battery staple"
SESSIONS = 2
"""That each person keeps."""

_ASKING_SECONDS = 8.0
_ORDER_SECONDS = 20.0
_RECENT = 40
_SCOPES = ("session",) * 8 + ("device",) * 5 + ("account",) * 8 + ("everybody",)


@dataclass(frozen=True, slots=True)
class _SignedIn:
    session: Session
    cookie: str


class People:
    def __init__(self, gateways: list[Gateway], chance: random.Random, seen: set[int], accounts: int) -> None:
        """`seen`: the numbers of the requests that have reached the app."""
        self.subjects = [f"person-{number}" for number in range(accounts)]
        self.token = ""
        self.sessions: list[Session] = []
        self.revocations: list[Revocation] = []
        self._gateways = gateways
        self._random = chance
        self._seen = seen
        self._requests: list[tuple[int, Request]] = []
        self._numbers = count(1)
        self._orders = count(1)
        self._there: dict[str, list[_SignedIn]] = {subject: [] for subject in self.subjects}
        self._gone: list[_SignedIn] = []
        self._probes: set[asyncio.Task[None]] = set()
        self._under_way = 0
        self._revoking = asyncio.Event()

    def requests(self) -> list[Request]:
        return [replace(request, reached=number in self._seen) for number, request in self._requests]

    @asynccontextmanager
    async def at_work(self, clients: int, pause: float) -> AsyncIterator[None]:
        """People ask and sign in, and operators revoke, until the block ends."""
        self._revoking.set()
        works = [self._keep_signed_in(), self._keep_signed_in(), self._follow_up()]
        works += [self._revoke_on(), self._revoke_on()]
        works += [
            self._ask_on(gateway, pause) for gateway in range(len(self._gateways)) for _ in range(clients)
        ]
        tasks = [asyncio.create_task(work) for work in works]
        try:
            yield
        finally:
            await end([*tasks, *self._probes])
        for task in tasks:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def all_signed_in(self) -> None:
        while any(len(there) < SESSIONS for there in self._there.values()):
            await asyncio.sleep(0.05)

    # asking

    async def _ask_on(self, gateway: int, pause: float) -> None:
        async with Caller(self._gateways[gateway].port) as caller:
            while True:
                await asyncio.sleep(pause)
                somebody = self._somebody()
                if somebody is not None:
                    await self._ask(caller, gateway, somebody)

    def _somebody(self) -> _SignedIn | None:
        """Mostly one who may come in; often one who was thrown out lately, and tries again."""
        if self._gone and self._random.random() < 0.3:
            return self._random.choice(self._gone[-_RECENT:])
        there = self._there[self._random.choice(self.subjects)]
        return self._random.choice(there) if there else None

    async def _ask(self, caller: Caller, gateway: int, who: _SignedIn, *, last: bool = False) -> int:
        number, began = next(self._numbers), time.monotonic()
        answer = await caller.call(
            "GET", f"/r/{number}", within=_ASKING_SECONDS, Cookie=f"ww-session={who.cookie}"
        )
        ended = time.monotonic()
        request = Request(who.session.id, gateway, began, ended, answer.status, reached=False, last=last)
        self._requests.append((number, request))
        if answer.status == 401 and not last:
            self._leave(who)
        return answer.status

    async def _probe(self, gateway: int, who: _SignedIn) -> None:
        async with Caller(self._gateways[gateway].port) as caller:
            await self._ask(caller, gateway, who)

    async def look_around(self) -> None:
        """When all is over: everybody who is still there, and some who are not, at every gateway."""
        everybody = [*self._present(), *self._gone[-_RECENT:]]
        await asyncio.gather(*(self._look(index, everybody) for index in range(len(self._gateways))))

    async def _look(self, gateway: int, everybody: list[_SignedIn]) -> None:
        async with Caller(self._gateways[gateway].port) as caller:
            for who in everybody:
                for _ in range(20):
                    if await self._ask(caller, gateway, who, last=True) not in {0, 503}:
                        break
                    await asyncio.sleep(0.5)

    # signing in

    async def _keep_signed_in(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            missing = [subject for subject, there in self._there.items() if len(there) < SESSIONS]
            if missing:
                gateway = self._random.randrange(len(self._gateways))
                if not await self._sign_in(gateway, self._random.choice(missing)):
                    await asyncio.sleep(0.2)

    async def _sign_in(self, gateway: int, subject: str) -> bool:
        asked = time.monotonic()
        async with Caller(self._gateways[gateway].port) as caller:
            answer = await caller.call(
                "POST",
                "/.watchword/api/sign-in",
                {"subject": subject, "password": PASSWORD},
                within=_ASKING_SECONDS,
            )
        if answer.status != 200:
            return False
        session = Session(answer.json["session"], subject, answer.json["device"], asked, time.monotonic())
        cookie = next(
            line.partition(";")[0].partition("=")[2]
            for line in answer.headers["set-cookie"].split("\n")
            if line.startswith("ww-session=")
        )
        self.sessions.append(session)
        self._there[subject].append(_SignedIn(session, cookie))
        return True

    def _present(self) -> Iterator[_SignedIn]:
        for there in self._there.values():
            yield from there

    def _leave(self, who: _SignedIn) -> None:
        """Whoever was told that they have to sign in again does so; their old cookie is still tried."""
        there = self._there[who.session.subject]
        if who in there:
            there.remove(who)
            self._gone.append(who)

    # revoking

    def stop_revoking(self) -> None:
        self._revoking.clear()

    async def _revoke_on(self) -> None:
        while True:
            await asyncio.sleep(self._random.uniform(0.05, 0.4))
            await self._revoking.wait()
            gateway = self._random.randrange(len(self._gateways))
            await self.revoke(gateway, self._random.choice(_SCOPES))

    async def revoke(self, gateway: int, scope: str, *, order: str | None = None) -> Revocation | None:
        """Throw somebody out over a gateway; what was answered. None where nobody is there."""
        present = list(self._present())
        if not present and scope != "everybody":
            return None
        asked_for: dict[str, str] = {}
        if scope != "everybody":
            victim = self._random.choice(present).session
            asked_for = {
                "session": {"id": victim.id},
                "device": {"id": victim.device},
                "account": {"subject": victim.subject},
            }[scope]
        revocation = Revocation(
            order or f"order-{next(self._orders)}",
            scope,
            asked_for.get("id"),
            asked_for.get("subject"),
            gateway,
            time.monotonic(),
            0.0,
            0,
        )
        victims = [each for each in present if revocation.ends(each.session)]
        for each in victims:
            self._leave(each)
        place = len(self.revocations)
        self.revocations.append(revocation)
        self._under_way += 1
        try:
            body = {"scope": scope, "reason": revocation.order, **asked_for}
            answer = await self._api(gateway, "POST", "/v1/revocations", body)
        finally:
            self._under_way -= 1
        self.revocations[place] = _answered(revocation, answer, time.monotonic())
        if answer.status == CONFIRMED:
            self._try_again(victims[: len(self._gateways)])
        return self.revocations[place]

    def _try_again(self, victims: list[_SignedIn]) -> None:
        for gateway in range(len(self._gateways)):
            for who in victims[:2]:
                task = asyncio.create_task(self._probe(gateway, who))
                self._probes.add(task)
                task.add_done_callback(self._probes.discard)

    async def settled(self, within: float) -> None:
        """Wait until every revocation that is known of is confirmed, but no longer than that."""
        deadline = time.monotonic() + within
        while self._under_way and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        if any(order.known_as is None and order.status in {0, 503} for order in self.revocations):
            for _ in range(3):  # a gateway that came back has taken up what it found by then
                await self._find_unanswered()
                await asyncio.sleep(0.7)
        while any(map(_pending, self.revocations)) and time.monotonic() < deadline:
            await asyncio.sleep(0.1)

    async def _follow_up(self) -> None:
        """Ask what became of those that are pending."""
        while True:
            await asyncio.sleep(0.2)
            for place, revocation in enumerate(self.revocations):
                if _pending(revocation):
                    await self._look_after(place)

    async def _look_after(self, place: int) -> None:
        order = self.revocations[place]
        for gateway in (order.gateway, *range(len(self._gateways))):
            answer = await self._api(gateway, "GET", f"/v1/revocations/{order.known_as}")
            if answer.status == CONFIRMED:
                self.revocations[place] = replace(order, confirmed=time.monotonic())
            if answer.status in {CONFIRMED, PENDING}:
                return

    async def _find_unanswered(self) -> None:
        """An order without an answer may have been taken all the same: then it has to be seen through."""
        for gateway in range(len(self._gateways)):
            answer = await self._api(gateway, "GET", "/v1/revocations?limit=1000")
            if answer.status != 200:
                continue
            known = {each["reason"]: each["id"] for each in answer.json}
            for place, order in enumerate(self.revocations):
                if order.known_as is None and order.order in known:
                    self.revocations[place] = replace(order, known_as=known[order.order])
            return

    def know(self, order: str, known_as: str) -> None:
        """An order without an answer is on a disk, so it has to be seen through."""
        for place, revocation in enumerate(self.revocations):
            if revocation.order == order:
                self.revocations[place] = replace(revocation, known_as=known_as)

    async def _api(self, gateway: int, method: str, path: str, body: object = None) -> Answer:
        async with Caller(self._gateways[gateway].admin_port) as caller:
            return await caller.call(
                method, path, body, within=_ORDER_SECONDS, Authorization=f"Bearer {self.token}"
            )


def _answered(order: Revocation, answer: Answer, at: float) -> Revocation:
    confirmed = at if answer.status == CONFIRMED and answer.json.get("confirmed") is True else None
    known_as = answer.json.get("id") if answer.status in {CONFIRMED, PENDING} else None
    return replace(order, answered=at, status=answer.status, confirmed=confirmed, known_as=known_as)


def _pending(revocation: Revocation) -> bool:
    return revocation.known_as is not None and revocation.confirmed is None
