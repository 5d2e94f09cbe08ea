"""The commands, their options and their help."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gateway import logs
from gateway.cli import demo, devices, keys, operators, people, resets, serving
from gateway.cli import policies as policy_commands
from gateway.cli.common import Config, Json, configuration_from, run
from gateway.cli.output import failures
from gateway.core.records import LaterDevices
from gateway.core.values import parse_duration
from gateway.supervision.handover import Handed, handed_from
from gateway.supervision.worker import WORKER_OPTION
from gateway.version import version as version_text

app = typer.Typer(
    name="watchword",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help=(
        "A reverse-proxy authentication gateway: it stands in front of web apps, and asks for a fresh "
        "one-time code before the actions that matter.\n\n"
        "New here? watchword demo shows it all, with nothing to set up.\n\n"
        "In front of an app of your own: write policies/APP.yaml, then watchword check, user add and run. "
        "Settings are in config/gateway.yaml and in WATCHWORD_* variables; most have defaults.\n\n"
        "Exit codes: 0 done, 1 it could not be done, 2 wrong usage, 3 the store did not answer, "
        "130 interrupted."
    ),
)


def _port(what: str) -> Any:
    return typer.Option(min=0, max=65535, help=f"Where {what} is; 0 takes any free port.")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(version_text())
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


@app.command("run")
def run_gateway(
    config: Config = None,
    workers: Annotated[
        int,
        typer.Option(
            parser=serving.number_of_workers,
            metavar="N|auto",
            help="Processes that serve; auto takes one for each processor.",
        ),
    ] = 1,
    handed: Annotated[
        Handed | None,
        typer.Option(WORKER_OPTION, parser=handed_from, hidden=True, help="What a worker is given."),
    ] = None,
) -> None:
    """Run the gateway in front of your apps, until Ctrl-C.

    It needs a policy for each app (see check and explain), and people who may sign in (see user add). It
    listens where the settings say: listen.port (8080) for people, admin.port (8081) for operators.
    SIGHUP, or a change of a policy file, reloads the policies; with a fault in one, those in use stay.
    With several workers, SIGUSR2 replaces them one by one, and no request is lost.
    """
    with failures():
        settings, policies = configuration_from(config)
        log = settings.log
        if handed is not None:
            logs.set_up(log.format, log.level, requests=log.requests, worker=handed.slot)
            run(serving.serve_as_worker(settings, policies, handed))
            return
        logs.set_up(log.format, log.level, requests=log.requests)
        if workers == 1:
            run(serving.serve(settings, policies))
        elif code := run(serving.supervise(settings, workers)):
            raise typer.Exit(code)


@app.command("demo")
def run_demo(
    port: Annotated[int, _port("the gateway")] = 8080,
    admin_port: Annotated[int, _port("the operators' API")] = 8081,
    data_dir: Annotated[
        Path | None, typer.Option(help="Keep the data here for the next start (default: forget it).")
    ] = None,
    new_devices: Annotated[
        LaterDevices,
        typer.Option(
            help="What becomes of an account's devices after its first: let in, let in and told of, "
            "confirmed by a code, or by an earlier device (devices.later)."
        ),
    ] = LaterDevices.ALLOW,
    reset_waiting: Annotated[
        str,
        typer.Option(help="How long a case (watchword reset) waits once it is approved, such as 30s."),
    ] = "3d",
    as_json: Json = False,
) -> None:
    """Run a gateway in front of a small exchange, with nothing to set up. Ctrl-C stops it.

    It says where to point a browser, what to sign in with, and what to set for the other commands to work
    on it. WATCHWORD_* variables change nothing in it; it names those that it ignores.
    """
    try:
        waiting = parse_duration(reset_waiting)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--reset-waiting") from None
    with failures(), demo.data_directory(data_dir) as folder:
        settings = demo.demo_settings(port, admin_port, folder, new_devices, waiting)
        run(demo.serve_demo(settings, as_json=as_json))


app.command("check")(policy_commands.check)
app.command("explain")(policy_commands.explain_request)
app.add_typer(people.app, name="user")
app.add_typer(devices.app, name="device")
app.command("token")(operators.token)
app.command("revoke")(operators.revoke)
app.add_typer(resets.app, name="reset")
app.add_typer(keys.app, name="keys")


def main() -> None:
    # Whatever a command logs goes to standard error, or it would end up within its JSON.
    logs.set_up("console", "warning")
    app()
