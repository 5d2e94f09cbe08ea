"""The profile: how a person is called, and where to write to them. Page and JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web

from gateway.core.policy.own import MANAGE_PROFILE
from gateway.core.profile import LONGEST_EMAIL, LONGEST_NAME, is_email, unfit_name
from gateway.core.reasons import Reason
from gateway.core.records import Account
from gateway.portal.call import Call, Handler
from gateway.portal.desk import Desk, fields_of, text_field
from gateway.portal.pages import Notice, Pages, Trouble
from gateway.portal.replies import as_json, holder_of, lead_to, notice_of, page
from gateway.web.problems import problem, status_of
from gateway.web.routes import Route

PROFILE = "/.watchword/profile"


@dataclass(frozen=True, slots=True)
class Profile:
    """`email`: who changes the address, and whether apps are told it then.

    Apps may know their people by their address. So what a person says of theirs, and nobody has vouched
    for, is where we write to; apps are told it (`shared`) only where none of them goes by it. `writes`
    says whether we write at all.
    """

    desk: Desk
    pages: Pages
    email: Literal["private", "shared", "fixed"]
    writes: bool

    def routes(self) -> tuple[Route[Handler], ...]:
        own, api = PROFILE, "/.watchword/api/profile"
        return (
            Route("GET", own, self.form),
            Route("POST", own, self.save, action=MANAGE_PROFILE),
            Route("GET", api, self.show),
            Route("PUT", api, self.put, action=MANAGE_PROFILE),
        )

    async def form(self, call: Call) -> web.Response:
        account = call.person.account
        return self._form(call, account.name, account.email)

    def _form(self, call: Call, name: str, email: str, trouble: Trouble | None = None) -> web.Response:
        html = self.pages.render(
            "profile.html",
            holder=holder_of(call, call.person),
            name=name,
            email=email,
            rule=self.email,
            writes=self.writes,
            notice=notice_of(call),
            longest_name=LONGEST_NAME,
            longest_email=LONGEST_EMAIL,
            error=self.pages.said("profile", trouble),
            wrong=None if trouble is None else "name" if trouble.reason is Reason.UNFIT_NAME else "email",
        )
        return page(html, status=status_of(trouble.reason) if trouble else 200)

    async def save(self, call: Call) -> web.Response:
        name, email = await self._wanted(call)
        refused = await self._change(call, name, email)
        if refused is not None and refused.reason is Reason.SESSION_REVOKED:
            return lead_to(PROFILE)
        if refused is not None:
            return self._form(call, name, email, refused)
        return lead_to(f"{PROFILE}?notice={Notice.PROFILE_CHANGED}")

    async def show(self, call: Call) -> web.Response:
        account = call.person.account
        return as_json(_shown(account, account.name, account.email))

    async def put(self, call: Call) -> web.Response:
        name, email = await self._wanted(call)
        refused = await self._change(call, name, email)
        if refused is None:
            return as_json(_shown(call.person.account, name, email))
        said = self.pages.said("profile", refused) if refused.unfit else None
        return problem(refused.reason, said.text if said else "")

    async def _wanted(self, call: Call) -> tuple[str, str]:
        """What is not said stays as it is. Raises BadRequest."""
        account, fields = call.person.account, await fields_of(call.inbound)
        name = text_field(fields, "name", default=account.name)
        return name.strip(), text_field(fields, "email", default=account.email).strip()

    async def _change(self, call: Call, name: str, email: str) -> Trouble | None:
        person, now = call.person, call.inbound.now
        if refused := self._unfit(person.account, name, email):
            return refused
        known = person.account
        changed = {"name": name != known.name, "e-mail": email != known.email}
        about = " and ".join(what for what, differs in changed.items() if differs)
        before = await self.desk.store.accounts.change_profile(
            person.session.id,
            name=name,
            email=email,
            vouched=self.email == "shared",
            now=now,
            entries=[self.desk.entry(call.inbound, person, "profile-changed", about or "nothing")],
            also_to=known.email,
        )
        return Trouble(Reason.SESSION_REVOKED) if before is None else None

    def _unfit(self, account: Account, name: str, email: str) -> Trouble | None:
        """What is wrong with what somebody wants; a name may be missing."""
        if name and (unfit := unfit_name(name)):
            return Trouble(Reason.UNFIT_NAME, unfit=unfit)
        if email == account.email:
            return None
        if self.email == "fixed":
            return Trouble(Reason.EMAIL_FIXED)
        return None if is_email(email) else Trouble(Reason.UNFIT_EMAIL)


def _shown(account: Account, name: str, email: str) -> Mapping[str, Any]:
    return {"subject": account.subject, "name": name, "email": email}
