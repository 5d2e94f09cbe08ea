"""What is kept of each request: counts for Prometheus, and a line in the log."""

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from gateway import entropy, logs
from gateway.core.decision import AuthoriseDevice, Decision, Forward, Refuse, SignIn, StepUp
from gateway.core.policy.model import App
from gateway.core.reasons import Reason
from gateway.core.target import Target
from gateway.errors import UpstreamFailed, UpstreamFault
from gateway.web.inbound import Inbound
from gateway.web.metrics import NO_APP, Metrics

CLIENT_LEFT = 499
"""nginx's status for a request whose client was gone before there was an answer; nobody is sent it."""

_log = structlog.get_logger("gateway")

_OUTCOMES: Mapping[type[Decision], str] = {
    Forward: "",
    SignIn: "sign-in",
    StepUp: "step-up",
    AuthoriseDevice: "authorise-device",
    Refuse: "refuse",
}


@dataclass(slots=True)
class Record:
    """What the log and the counters will say of a request; it is filled in on the way.

    `outcome` is empty for one that was forwarded: its status tells.
    """

    app: App | None = None
    outcome: str = ""
    reason: str = ""
    detail: str = ""
    reference: str = ""
    inbound: Inbound | None = None

    @property
    def app_name(self) -> str:
        return self.app.name if self.app else NO_APP

    def decided(self, decision: Decision) -> None:
        self.outcome, self.reason = _OUTCOMES[type(decision)], decision.reason

    def refused(self, cause: Reason | UpstreamFault, detail: str) -> None:
        """With a reference, which a person who is shown the refusal can tell to support."""
        self.outcome, self.reason, self.detail = "refuse", cause, detail
        self.reference = entropy.identifier()[:8]

    def said(self) -> dict[str, str]:
        said = {"app": self.app_name, "outcome": self.outcome or "forward", "reason": self.reason}
        said |= {name: text for name in ("detail", "reference") if (text := getattr(self, name))}
        if self.inbound is not None:
            said |= _asked(self.inbound.target, self.inbound.address)
        return said


class Records:
    """Where records go. Made after logging is set up: what is not logged costs nothing."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._count = metrics.request
        self._log = logs.for_requests()

    def keep(self, record: Record, status: int, seconds: float) -> None:
        self._count(record.app_name, record.outcome or _class_of(status), seconds)
        if self._log is not None:
            self._log({**record.said(), "status": status, "ms": round(seconds * 1000, 2)})

    def keep_forwarded(self, forward: Forward, address: str, status: int, seconds: float) -> None:
        """The same of a request of which there is no more to say than that it was forwarded."""
        permit = forward.permit
        app = permit.match.app.name
        self._count(app, _class_of(status), seconds)
        if self._log is not None:
            self._log(
                {
                    "app": app,
                    "outcome": "forward",
                    "reason": forward.reason,
                    **_asked(permit.target, address),
                    "status": status,
                    "ms": round(seconds * 1000, 2),
                }
            )

    def upstream_failed(self, app: str, error: UpstreamFailed) -> None:
        """Before there was an answer, or in the middle of it, which its status does not tell."""
        self._metrics.upstream_failure(app, error.fault)
        _log.warning("upstream failed", app=app, fault=error.fault, error=str(error))


_CLASSES = ("0xx", "1xx", "2xx", "3xx", "4xx", "5xx")


def _class_of(status: int) -> str:
    return _CLASSES[status // 100]


def _asked(target: Target, address: str) -> dict[str, str]:
    """Queries stay out of it: people put secrets there."""
    return {"method": target.method, "path": target.path, "address": address}
