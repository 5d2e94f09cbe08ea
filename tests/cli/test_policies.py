"""What policies say, before they ship."""

import json

import pytest
from support.commands import POLICY, CommandLine

FAULTY = """
app: exchange
hosts: [exchange.localhost]
upstream: nowhere
unmatched: sesion
rules:
  - {name: pay, paths: [/payments], action: pay, ned: device}
"""


# --- check


def test_check_without_a_fault(command: CommandLine) -> None:
    result = command("check")
    assert result.exit_code == 0
    assert "No fault." in result.stdout
    assert "exchange.localhost, [::1]" in result.stdout
    assert command.json("check") == {"faults": [], "apps": ["exchange"]}


def test_check_lists_every_fault_with_its_place(command: CommandLine) -> None:
    (command.folder / "config").mkdir()
    (command.folder / "config" / "gateway.yaml").write_text("mode: production\nlisten: {prot: 8080}\n")
    (command.folder / "policies" / "exchange.yaml").write_text(FAULTY)
    environ = {"WATCHWORD_ISUER": "x", "WATCHWORD_LISTEN__PORT": "0"}
    result = command("check", **environ)
    assert (result.exit_code, result.stdout) == (1, "")
    *faults, count = result.stderr.splitlines()
    policy = "policies/exchange.yaml"
    expected = [
        "config/gateway.yaml:2:10: ",
        f"{policy}:4:11: ",
        f"{policy}:5:12: ",
        f"{policy}:7:",
        "environment:0:0: WATCHWORD_ISUER: ",
    ]
    for place in expected:
        assert [fault for fault in faults if fault.startswith(place)], (place, faults)
    assert count == f"{len(faults)} faults"
    told = command("check", "--json", **environ)
    assert told.exit_code == 1
    rows = json.loads(told.stdout)["faults"]
    assert ["{file}:{line}:{column}: {message}".format(**row) for row in rows] == faults


def test_check_of_another_folder(command: CommandLine) -> None:
    other = command.folder / "other"
    other.mkdir()
    (other / "shop.yaml").write_text(POLICY.replace("app: exchange", "app: shop"))
    assert command.json("check", "--policies", str(other))["apps"] == ["shop"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-p", "nowhere"), "nowhere:0:0: there is no policy here"),
        (("-c", "nowhere.yaml"), "nowhere.yaml:0:0: cannot be read"),
    ],
)
def test_what_is_not_there_is_a_fault(command: CommandLine, arguments: tuple[str, str], said: str) -> None:
    result = command("check", *arguments)
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.endswith("1 fault\n")


def test_hosts_that_plain_http_exposes_are_a_fault(command: CommandLine) -> None:
    policy = POLICY.replace("exchange.localhost", "exchange.example")
    (command.folder / "policies" / "exchange.yaml").write_text(policy)
    result = command("check")
    assert result.exit_code == 1
    assert "public-scheme is http, which is for loopback only, not for exchange.example" in result.stderr
    assert command("check", WATCHWORD_PUBLIC_SCHEME="https").exit_code == 0


# --- explain


def test_explain_shows_target_rules_and_decisions(command: CommandLine) -> None:
    result = command("explain", "POST", "http://exchange.localhost/payments?x=1")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["POST", "exchange.localhost", "/payments", "x=1"] in lines
    assert ["→", "11", "pay", "It", "matches."] in lines
    assert "policies/exchange.yaml:11: need session, action pay" in result.stdout
    assert ["nobody", "SignIn", "(no-session)"] in lines
    assert "StepUp for pay (code-needed)" in result.stdout
    assert "Forward (code-given)" in result.stdout


def test_explain_in_json(command: CommandLine) -> None:
    answer = command.json("explain", "POST", "http://exchange.localhost:8080/payments")
    assert answer["target"] == {
        "method": "POST",
        "host": "exchange.localhost",
        "path": "/payments",
        "query": None,
        "segments": ["payments"],
    }
    assert (answer["app"], answer["need"], answer["action"]) == ("exchange", "session", "pay")
    assert answer["place"] == "policies/exchange.yaml:11"
    assert [(rule["rule"], rule["outcome"]) for rule in answer["rules"]] == [
        ("assets", "method"),
        ("pay", "applies"),
        ("staff", "path"),
        ("closed", "path"),
    ]
    assert answer["decisions"] == {
        "nobody": "SignIn (no-session)",
        "signed in, no authenticator": "StepUp for pay (factor-missing)",
        "signed in, with authenticator": "StepUp for pay (code-needed)",
        "and with a fresh code": "Forward (code-given)",
    }


def test_explain_tells_what_a_device_that_nobody_confirmed_gets(command: CommandLine) -> None:
    file = command.folder / "policies" / "exchange.yaml"
    file.write_text(file.read_text().replace("unmatched: session", "unmatched: device"))
    answer = command.json("explain", "GET", "http://exchange.localhost/vault")
    assert answer["need"] == "device"
    assert answer["decisions"] == {
        "nobody": "SignIn (no-session)",
        "signed in, no authenticator": "Forward (session-live)",
        "signed in, device not confirmed": "AuthoriseDevice (device-unconfirmed)",
        "signed in, with authenticator": "Forward (session-live)",
    }


@pytest.mark.parametrize(
    ("groups", "decision"),
    [
        ((), "Refuse (denied)"),
        (("guests",), "Refuse (denied)"),
        (("guests", "staff"), "Forward (session-live)"),
    ],
)
def test_explain_for_a_group(command: CommandLine, groups: tuple[str, ...], decision: str) -> None:
    options = [option for group in groups for option in ("--group", group)]
    answer = command.json("explain", "GET", "http://exchange.localhost/staff/x", *options)
    assert answer["decisions"]["signed in, with authenticator"] == decision


def test_explain_an_address_of_our_own(command: CommandLine) -> None:
    result = command("explain", "GET", "http://exchange.localhost/.watchword/devices")
    assert result.exit_code == 0
    assert "The gateway itself answers here" in result.stdout
    assert "421" not in result.stdout
    assert "Forward" not in result.stdout


@pytest.mark.parametrize("host", ["other.example", "[fe80::1]", "1.2.3.4:8080"])
def test_explain_a_host_that_no_app_has(command: CommandLine, host: str) -> None:
    result = command("explain", "GET", f"http://{host}/")
    assert result.exit_code == 0
    assert f"No app has the host {host.removesuffix(':8080')}." in result.stdout
    assert "421" in result.stdout
    assert command.json("explain", "GET", f"http://{host}/")["app"] is None


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://[::1]:8080", "/"),
        ("http://[::1]/", "/"),
        ("http://exchange.localhost?x=/static/", "/"),
        ("http://exchange.localhost/[/red]x", "/[/red]x"),
        ("http://exchange.localhost/[bold]x", "/[bold]x"),
        ("http://exchange.localhost/%61", "/a"),
        ("https://EXCHANGE.localhost/A", "/A"),
    ],
)
def test_explain_takes_an_odd_url_as_it_is(command: CommandLine, url: str, path: str) -> None:
    result = command("explain", "GET", url)
    assert result.exit_code == 0, result.output
    assert path in {word for line in result.stdout.splitlines() for word in line.split()}
    assert command.json("explain", "GET", url)["target"]["path"] == path


@pytest.mark.parametrize(
    ("method", "url", "why"),
    [
        ("GET", "http://exchange.localhost/static/../payments", "dot segment"),
        ("GET", "http://exchange.localhost/a#b", "not allowed in one"),
        ("GET", "http://exchange.localhost#/x", "not allowed in one"),
        ("GET", "http://exchange.localhost//x", "empty segment"),
        ("GET", "http://exchange.localhost/%2e%2e/x", "dot segment"),
        ("GET", "http://exchange.localhost/%zz", "broken escape"),
        ("GET", "http://exchange.localhost/\\x", "not allowed in one"),
        ("GET", "http://ada@exchange.localhost/", "Host header"),
        ("GET", "http:///x", "Host header"),
        ("GET", "http://exchange.localhost:99999/", "Host header"),
        ("get", "http://exchange.localhost/", "capital letters"),
    ],
)
def test_explain_what_is_refused_as_it_stands(command: CommandLine, method: str, url: str, why: str) -> None:
    result = command("explain", method, url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Refused with 400: ")
    assert why in result.stderr
    told = command("explain", method, url, "--json")
    assert told.exit_code == 1
    assert json.loads(told.stdout)["reason"] == "bad-request"


@pytest.mark.parametrize("url", ["exchange.localhost/x", "/payments", "ftp://exchange.localhost/", ""])
def test_explain_needs_a_whole_url(command: CommandLine, url: str) -> None:
    result = command("explain", "GET", url)
    assert result.exit_code == 2
    assert "write it in full, with http:// or https://" in result.stderr


def test_explain_with_faulty_policies_lists_them(command: CommandLine) -> None:
    (command.folder / "policies" / "exchange.yaml").write_text(FAULTY)
    result = command("explain", "GET", "http://exchange.localhost/")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "exchange.yaml:4:11: " in result.stderr
