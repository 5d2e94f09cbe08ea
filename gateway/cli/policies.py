"""`watchword check` and `watchword explain`: what the policies say, before they ship."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from gateway.cli.common import Config, Json, configuration_from
from gateway.cli.output import FAILED, console, fail, failures, show_json, show_table
from gateway.core.decision import Decision, StepUp, binding_of, decide
from gateway.core.policy.explaining import Explanation, Outcome, explain
from gateway.core.policy.model import SIGN_IN, Action, Need
from gateway.core.records import Account, Device, DeviceState, Grant, Session, Snapshot
from gateway.core.target import Target, parse_target
from gateway.errors import BadRequest

Policies = Annotated[
    Path | None,
    typer.Option("--policies", "-p", help="The folder of policy files (default: the settings' one)."),
]


def check(policies: Policies = None, config: Config = None, as_json: Json = False) -> None:
    """Check settings and policies, and list every fault as file:line:column: message.

    Without a fault it lists the apps, and ends with 0. It opens no store and no port.
    """
    with failures(as_json=as_json):
        _, loaded = configuration_from(config, policies)
    apps = loaded.apps
    if as_json:
        show_json({"faults": [], "apps": [app.name for app in apps]})
        return
    show_table(
        ("app", "hosts", "rules", "actions", "unmatched"),
        ((a.name, ", ".join(a.hosts), str(len(a.rules)), ", ".join(a.actions), a.unmatched) for a in apps),
    )
    console.print("[green]No fault.[/]")


def explain_request(
    method: Annotated[str, typer.Argument(help="Such as GET or POST.")],
    url: Annotated[str, typer.Argument(help="Such as https://exchange.localhost/withdrawals.")],
    group: Annotated[
        list[str] | None,
        typer.Option(
            help="A group of who asks; may be given several times. Without any, rules for groups may match."
        ),
    ] = None,
    policies: Policies = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show how a request is understood, which rule applies and why, and what each visitor would get.

    The URL is taken as it is written: nothing is tidied up before the gateway's own parser sees it.
    """
    with failures(as_json=as_json):
        _, loaded = configuration_from(config, policies)
    try:
        target = parse_target(method, *_split(url))
    except BadRequest as error:
        if as_json:
            show_json({"decision": "refuse", "reason": "bad-request", "detail": str(error)})
            raise typer.Exit(FAILED) from None
        raise fail(f"Refused with 400: {error}.") from None
    explanation = explain(loaded, target, frozenset(group) if group else None)
    decisions = dict(_decisions(explanation, frozenset(group or ())))
    if as_json:
        show_json(_as_json(explanation, decisions))
    else:
        _show(explanation, decisions)


def _split(url: str) -> tuple[str, str]:
    """The request target and the Host header of a URL, without changing a character of either."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("http", "https"):
        raise typer.BadParameter("write it in full, with http:// or https://", param_hint="URL")
    ends = [position for position in map(rest.find, "/?#") if position >= 0]
    cut = min(ends, default=len(rest))
    path = rest[cut:]
    return (path if path.startswith("/") else f"/{path}"), rest[:cut]


def _decisions(explanation: Explanation, groups: frozenset[str]) -> Iterator[tuple[str, Decision]]:
    """What typical visitors get, as the gateway's own `decide` says it."""
    if explanation.match is None:
        return
    target, match, body = explanation.target, explanation.match, b""
    binding = binding_of(target, body)
    yield "nobody", decide(target, match, None, 0.0)
    yield "signed in, no authenticator", decide(target, match, _visitor(groups, 0), 0.0)
    sign_in = match.app.actions.get(SIGN_IN)
    if match.need is Need.DEVICE:
        unconfirmed = _visitor(groups, 1, sign_in, confirmed_at=None)
        yield "signed in, device not confirmed", decide(target, match, unconfirmed, 0.0)
    signed_in = _visitor(groups, 1, sign_in)
    yield "signed in, with authenticator", decide(target, match, signed_in, 0.0)
    if match.action:
        with_code = _visitor(groups, 1, sign_in, match.action, binding)
        yield "and with a fresh code", decide(target, match, with_code, 0.0, binding)


def _visitor(
    groups: frozenset[str],
    factors: int,
    sign_in: Action | None = None,
    action: Action | None = None,
    binding: str | None = None,
    *,
    confirmed_at: float | None = 0.0,
) -> Snapshot:
    account = Account("ada", "Ada", "", groups, disabled=False, epoch=1, confirmed_factors=factors)
    session = Session("", "ada", "", 0.0, 1, 1, 0.0, 0.0, 1.0, 1.0, "")
    device = Device("", "ada", "", "", DeviceState.AUTHORISED, 0.0, 0.0, "", confirmed_at=confirmed_at)
    grants = [Grant(a.key, 0.0, 1.0) for a in (sign_in, action) if a and not a.single_use]
    if action and action.single_use:
        grants.append(Grant(action.key, 0.0, 1.0, binding))
    return Snapshot(session, account, device, 1, tuple(grants))


def _said(decision: Decision) -> str:
    name = type(decision).__name__
    if isinstance(decision, StepUp):
        return f"{name} for {decision.action.name} ({decision.reason})"
    return f"{name} ({decision.reason})"


def _show(explanation: Explanation, decisions: dict[str, Decision]) -> None:
    target = explanation.target
    console.print("[bold]Target[/]")
    show_table(
        ("method", "host", "path", "query"), [(target.method, target.host, target.path, _query(target))]
    )
    if explanation.trials:
        console.print("\n[bold]Rules[/]")
        show_table(
            ("", "line", "rule", "why"),
            (
                ("→" if t.outcome is Outcome.APPLIES else "", str(t.rule.line), t.rule.name, t.why)
                for t in explanation.trials
            ),
        )
    console.print(f"\n[bold]Result[/]  {escape(explanation.why)}")
    if explanation.app is None:
        console.print("It is refused with 421.")
    if explanation.match is None:
        return
    action = f", action {explanation.action.name}" if explanation.action else ""
    console.print(f"{explanation.place}: need {explanation.need}{action}\n", markup=False)
    show_table(("who asks", "decision"), ((who, _said(decision)) for who, decision in decisions.items()))


def _query(target: Target) -> str:
    return "(none)" if target.query is None else target.query


def _as_json(explanation: Explanation, decisions: dict[str, Decision]) -> dict[str, Any]:
    target = explanation.target
    return {
        "target": {
            "method": target.method,
            "host": target.host,
            "path": target.path,
            "query": target.query,
            "segments": list(target.segments),
        },
        "app": explanation.app.name if explanation.app else None,
        "rules": [
            {"rule": t.rule.name, "line": t.rule.line, "outcome": t.outcome, "why": t.why}
            for t in explanation.trials
        ],
        "place": explanation.place,
        "why": explanation.why,
        "need": explanation.need,
        "action": explanation.action.name if explanation.action else None,
        "decisions": {who: _said(decision) for who, decision in decisions.items()},
    }
