"""Settings from a file and the environment: what they are, who wins, and every fault at once."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from gateway.core.located import Shape, is_list, nested_shape
from gateway.documents import load_policy_directory
from gateway.errors import Faulty
from gateway.settings import Listen, Sessions, Settings, insecure_hosts, load_settings, variables_in
from gateway.store_settings import Store

ROOT = Path(__file__).parents[1]


@dataclass
class Home:
    """A folder like a checkout, with `config/gateway.yaml` in it."""

    path: Path

    def load(self, text: str = "", **environ: str) -> Settings:
        file = self.path / "config" / "gateway.yaml"
        file.write_text(text)
        return load_settings(file, environ)

    def faults(self, text: str = "", **environ: str) -> list[str]:
        with pytest.raises(Faulty) as raised:
            self.load(text, **environ)
        return [str(fault) for fault in raised.value.faults]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    (tmp_path / "config").mkdir()
    monkeypatch.chdir(tmp_path)
    return Home(tmp_path)


def test_without_anything_the_defaults_hold(home: Home) -> None:
    found = home.load()
    assert found == load_settings(None, {"PATH": "/bin", "OTHER": "x"})
    assert (found.listen.host, found.listen.port, found.admin.port) == ("127.0.0.1", 8080, 8081)
    assert (found.mode, found.public_scheme, found.tls, found.trusted_proxies) == (
        "production",
        "https",
        None,
        (),
    )
    assert (found.sessions.idle, found.sessions.absolute, found.sessions.grace) == (3600, 86400, 5)
    codes, sign_in = found.codes, found.sign_in
    assert (codes.attempts, codes.delay, codes.longest_delay, codes.lock) == (5, 30, 900, 100)
    assert (sign_in.attempts_by_account, sign_in.delay, sign_in.longest_delay) == (10, 30, 900)
    assert (found.forward_auth, found.assertion.lifetime) == (False, 300)
    assert (found.challenges.parked_body, found.limits.header_size) == (2**20, 2**14)
    assert (found.store.url, found.store.timeout, found.store.shards) == ("embedded", 2, 1)


def test_the_shipped_file_shows_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    shipped = load_settings(ROOT / "config" / "gateway.yaml", {"WATCHWORD_PUBLIC_SCHEME": "https"})
    assert shipped == load_settings(None, {})


def test_the_shipped_files_run_as_they_are() -> None:
    settings = load_settings(ROOT / "config" / "gateway.yaml", {})
    policies = load_policy_directory(ROOT / "policies")
    assert settings.public_scheme == "http"
    assert insecure_hosts(host for app in policies.apps for host in app.hosts) == []


def test_the_shipped_file_and_the_reference_name_every_key() -> None:
    shipped = (ROOT / "config" / "gateway.yaml").read_text()
    reference = (ROOT / "docs" / "settings.md").read_text()
    for key in every_key(Settings):
        assert f"`{key}`" in reference, key
        leaf = key.rpartition(".")[2]
        assert f"{leaf}:" in shipped or leaf in {"password", "sentinel-password", "secret"}, key


def every_key(shape: type[Shape], prefix: str = "") -> list[str]:
    keys = []
    for field in shape.model_fields.values():
        nested = nested_shape(field)
        keys += every_key(nested, f"{prefix}{field.alias}.") if nested else [f"{prefix}{field.alias}"]
    return keys


def test_a_file(home: Home) -> None:
    found = home.load(
        """\
        listen: {host: 0.0.0.0, port: 443}
        tls: {certificate: tls/cert.pem, key: /etc/key.pem}
        trusted-proxies: [10.0.0.0/8, "::1"]
        store: {url: "rediss://user@store:6379/1", data-dir: /var/lib/watchword}
        sessions:
        sign-in: {attempts-by-account: 3, per: 1h}
        devices: {later: approve}
        """
    )
    assert found.listen == Listen(host="0.0.0.0", port=443)
    assert found.tls is not None
    assert (found.tls.certificate, found.tls.key) == (home.path / "tls/cert.pem", Path("/etc/key.pem"))
    assert found.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1"))
    assert found.store.data_dir == Path("/var/lib/watchword")
    assert found.keys == Path("/var/lib/watchword/keys.json")
    assert found.policies == home.path / "policies"
    assert found.sessions == Sessions()
    assert (found.sign_in.attempts_by_account, found.sign_in.per) == (3, 3600)
    assert found.devices.later == "approve"


def test_lists_of_sections(home: Home) -> None:
    found = home.load(
        """\
        back-channel:
          issuer: https://exchange.example
          transmitters:
            - {issuer: "https://a", audience: us, keys: keys.json}
          receivers:
            - {name: pay, url: "https://pay.example", audience: pay, authorization-file: /etc/pay}
        """
    ).back_channel
    assert found.transmitters[0].keys == home.path / "keys.json"
    assert found.receivers[0].authorization_file == Path("/etc/pay")
    assert home.load("back-channel: {transmitters: }").back_channel.transmitters == ()


def test_a_fault_in_a_list_of_sections(home: Home) -> None:
    (fault,) = home.faults("back-channel:\n  transmitters:\n    - {issuer: a, audience: b, keys: c, key: d}")
    assert ":3:41: unknown key 'back-channel.transmitters.0.key'; did you mean 'keys'?" in fault
    (fault,) = home.faults(WATCHWORD_BACK_CHANNEL__TRANSMITTERS="x")
    assert "unknown variable" in fault


def test_where_relative_paths_start(home: Home) -> None:
    """Beside `config`, so that it works from everywhere; beside the file, where it is not in there."""
    assert home.load().policies == home.path / "policies"
    assert load_settings(Path("config/gateway.yaml"), {}).policies == home.path / "policies"
    elsewhere = home.path / "gateway.yaml"
    elsewhere.write_text("keys: ring.json")
    assert load_settings(elsewhere, {}).store.data_dir == home.path / "data"
    assert load_settings(elsewhere, {}).keys == home.path / "ring.json"
    assert load_settings(None, {"WATCHWORD_POLICIES": "mine"}).policies == home.path / "mine"


def test_the_environment_wins(home: Home) -> None:
    found = home.load(
        "listen: {host: 0.0.0.0, port: 1}\nstore:\nissuer: File\ntrusted-proxies: [10.0.0.0/8]",
        WATCHWORD_LISTEN__PORT="8443",
        WATCHWORD_STORE__DATA_DIR="elsewhere",
        WATCHWORD_SIGN_IN__ATTEMPTS_BY_ACCOUNT="7",
        WATCHWORD_ISSUER="Environment",
        WATCHWORD_TRUSTED_PROXIES="192.168.0.0/16, ::1",
        WATCHWORD_RESETS__EVIDENCE="passport, phone",
        WATCHWORD_MODE="demo",
        WATCHWORD_LOG__LEVEL="",
    )
    assert found.listen == Listen(host="0.0.0.0", port=8443)
    assert found.keys == home.path / "elsewhere" / "keys.json"
    assert found.sign_in.attempts_by_account == 7
    assert (found.issuer, found.mode, found.log.level) == ("Environment", "demo", "info")
    assert found.resets.evidence == ("passport", "phone")
    assert found.trusted_proxies == (ip_network("192.168.0.0/16"), ip_network("::1"))


def test_a_password_stays_secret(home: Home) -> None:
    file = home.path / "password"
    file.write_text(" s3cret \n")
    for found in (
        home.load("store: {password: ' s3cret '}"),
        home.load("store: {password-file: password}"),
        home.load(WATCHWORD_STORE__PASSWORD=" s3cret "),
        home.load("store: {password: other}", WATCHWORD_STORE__PASSWORD_FILE=str(file)),
        home.load("store: {password-file: missing}", WATCHWORD_STORE__PASSWORD=" s3cret "),
    ):
        assert found.store.password == SecretStr(" s3cret ")
        assert "s3cret" not in repr(found)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("- a", "1:1: must be a mapping of keys to values, not a list"),
        ("store: redis://h", "1:8: store: must be a mapping of keys to values, not text"),
        ("store: {data_dir: x}", "1:9: unknown key 'store.data_dir'; did you mean 'data-dir'?"),
        ("store: {shards: 0}", "1:17: store.shards: must be at least 1"),
        (
            "store: {password-file: missing}",
            "1:24: store.password-file: {home}/missing cannot be read: No such file or directory",
        ),
        ("store: {password-file: empty}", "1:24: store.password-file: {home}/empty is empty"),
        (
            "store: {password: a, password-file: given}",
            "1:8: store: give password or password-file, not both",
        ),
        (
            "store: {url: 'redis://:s3cret@host'}",
            "1:14: store.url: must not hold a password; give it as 'password'",
        ),
        (
            "store: {url: 'redis://host/0?password=s3cret'}",
            "1:14: store.url: must not hold a password; give it as 'password'",
        ),
        (
            "store: {url: 'http://host'}",
            "1:14: store.url: must be 'embedded', or an address that starts with redis://",
        ),
        ("store: {url: 'redis://'}", "1:14: store.url: must be 'embedded', or an address"),
        ("store: {url: 'redis://h:99999'}", "1:14: store.url: must be 'embedded', or an address"),
        ("store: {url: 'redis://u:s3cret/x@h'}", "1:14: store.url: must be 'embedded', or an address"),
        ("store: {url: 'redis://[s3cret@h'}", "1:14: store.url: must be 'embedded', or an address"),
        ("store: {url: 'unix:'}", "1:14: store.url: must be 'embedded', or an address"),
        ("listen: {port: 65536}", "1:16: listen.port: must be at most 65535"),
        ("listen: {port: true}", "1:16: listen.port: must be a whole number, not true or false"),
        (
            "sessions: {idle: 3600}",
            "1:18: sessions.idle: '3600' is not a duration; write one such as 30s, 5m, 1h or 7d",
        ),
        ("sessions: {idle: 2d}", "1:11: sessions: idle must not be longer than absolute"),
        ("assertion: {lifetime: 9s}", "1:23: assertion.lifetime: must be from 10s to 1h"),
        ("assertion: {lifetime: 61m}", "1:23: assertion.lifetime: must be from 10s to 1h"),
        ("challenges: {parked-body: 5}", "1:27: challenges.parked-body: '5' is not a size"),
        ("trusted-proxies: [10.0.0.1/8]", "1:19: trusted-proxies: '10.0.0.1/8' is not a network such as"),
        ("forward-auth: on", "1:1: forward-auth is on, and nobody may ask"),
        (
            "forward-auth: on\ntrusted-proxies: [127.0.0.1/32, 0.0.0.0/0]",
            "1:1: forward-auth is on, and trusted-proxies has a network that is everybody",
        ),
        ("tls: {key: k}", "1:6: the key 'tls.certificate' is missing"),
        ("resets: {evidence: []}", "1:20: resets.evidence: must not be empty"),
        ("resets: {evidence: [ID card]}", "1:21: resets.evidence: 'ID card' is not a name"),
        ("resets: {evidence: [id, phone, id]}", "1:20: resets.evidence: 'id' is in the list twice"),
        ("resets: {waiting: 0d}", "1:19: resets.waiting: '0d' is not a duration"),
        ("mode: prod", "1:7: mode: must be 'production' or 'demo', not 'prod'"),
    ],
)
def test_a_fault_of_the_file(home: Home, text: str, fault: str) -> None:
    (home.path / "empty").write_text("\n")
    (home.path / "given").write_text("b\n")
    [found] = home.faults(text)
    assert found.startswith(f"config/gateway.yaml:{fault.format(home=home.path)}")
    assert "s3cret" not in found


@pytest.mark.parametrize(
    ("variable", "value", "fault"),
    [
        ("LISTEN__PORT", "x", "must be a whole number, not text"),
        ("STORE__PASSWORD_FILE", "no", "{home}/no cannot be read: No such file or directory"),
        ("STORE__URL", "redis://:s3cret@host", "must not hold a password"),
        ("TLS__KEY", "k", "the key 'tls.certificate' is missing"),
        ("RESETS__EVIDENCE", " , ", "must not be empty"),
        ("STORE__URI", "x", "unknown variable; did you mean 'WATCHWORD_STORE__URL'?"),
        ("STORE", "x", "unknown variable"),
        ("", "x", "unknown variable"),
    ],
)
def test_a_fault_of_the_environment(home: Home, variable: str, value: str, fault: str) -> None:
    [found] = home.faults(**{f"WATCHWORD_{variable}": value})
    assert found.startswith(f"environment:0:0: WATCHWORD_{variable}: {fault.format(home=home.path)}")
    assert "s3cret" not in found


def test_a_fault_of_several_variables_names_them_all(home: Home) -> None:
    [found] = home.faults(WATCHWORD_SESSIONS__CACHED="9", WATCHWORD_SESSIONS__IDLE="2d")
    assert found == (
        "environment:0:0: WATCHWORD_SESSIONS__CACHED, WATCHWORD_SESSIONS__IDLE: "
        "idle must not be longer than absolute"
    )


def _wrong(shape: type[Shape], trail: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """For every key a document in which it alone is of a kind that no key takes, and the key in full."""
    for field in shape.model_fields.values():
        here = (*trail, str(field.alias))
        nested = nested_shape(field)
        wrong = "[[]]" if nested is None else "5"
        yield "".join(f"{{{step}: " for step in here) + wrong + "}" * len(here), ".".join(here)
        if nested and not is_list(field):
            yield from _wrong(nested, here)
            unknown = (*here, "no-such-key")
            yield "".join(f"{{{step}: " for step in unknown) + "1" + "}" * len(unknown), ".".join(unknown)


@pytest.mark.parametrize(("text", "key"), list(_wrong(Settings)))
def test_a_fault_names_the_key_in_full(home: Home, text: str, key: str) -> None:
    assert any(f": {key}: " in fault or f"unknown key '{key}'" in fault for fault in home.faults(text))


def test_a_fault_in_a_list_of_the_environment_is_not_blamed_on_the_file(home: Home) -> None:
    [found] = home.faults("trusted-proxies: [10.0.0.0/8, ::1]", WATCHWORD_TRUSTED_PROXIES="::1,x")
    assert found.startswith("environment:0:0: WATCHWORD_TRUSTED_PROXIES: 'x' is not a network")


@pytest.mark.parametrize("text", ["- a", "store: x", "store: [x]"])
def test_a_variable_for_what_the_file_has_wrongly_is_no_crash(home: Home, text: str) -> None:
    [found] = home.faults(text, WATCHWORD_STORE__PASSWORD="x", WATCHWORD_STORE__TIMEOUT="1s")
    assert "must be a mapping of keys to values" in found


SECRET = "whsec_" + b64encode(b"k" * 32).decode()
MAIL = "address: https://exchange.example, mail: {host: m, from: a@b.example"
HOOK = "webhook: {url: https://h"


def test_the_secrets_of_notices_come_from_files_too(home: Home) -> None:
    (home.path / "mail").write_text("mail-s3cret\n")
    (home.path / "hook").write_text(f"{SECRET}\n")
    text = f"notices: {{{MAIL}, user: u, password-file: mail}}, {HOOK}, secret-file: hook}}}}"
    by_file = home.load(text)
    by_variable = home.load(
        text, WATCHWORD_NOTICES__MAIL__PASSWORD="mail-s3cret", WATCHWORD_NOTICES__WEBHOOK__SECRET=SECRET
    )
    for found in (by_file.notices, by_variable.notices):
        assert found.mail and found.mail.password == SecretStr("mail-s3cret")
        assert found.webhook and found.webhook.secret == SecretStr(SECRET)
        assert "s3cret" not in repr(found) and SECRET not in repr(found)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (f"notices: {{{HOOK}, secret-file: empty}}}}", "notices.webhook.secret-file: {home}/empty is empty"),
        (
            f"notices: {{{HOOK}, secret-file: weak}}}}",
            "notices.webhook.secret: must be whsec_ and then 24 to 64",
        ),
        (
            f"notices: {{{HOOK}, secret: s3cret}}}}",
            "notices.webhook.secret: must be whsec_ and then 24 to 64",
        ),
        (
            f"notices: {{{HOOK}, secret: {SECRET}, secret-file: weak}}}}",
            "notices.webhook: give secret or secret-file, one of",
        ),
        (
            f"notices: {{{MAIL}, password-file: weak}}}}",
            "notices.mail: give both user and password, or neither",
        ),
        (
            f"notices: {{{MAIL}, password: s3cret, password-file: weak}}}}",
            "notices.mail: give password or password-file",
        ),
    ],
)
def test_a_fault_of_a_secret_has_its_place_and_tells_nothing(home: Home, text: str, fault: str) -> None:
    (home.path / "empty").write_text("")
    (home.path / "weak").write_text("whsec_s3cret")
    [found] = home.faults(text)
    assert found.startswith("config/gateway.yaml:1:")
    assert fault.format(home=home.path) in found
    assert "s3cret" not in found


def test_all_faults_are_told_together(home: Home) -> None:
    found = home.faults(
        "listen: {prt: 1, port: x}\nstore: {timeout: 2, password-file: missing}\nkeys: []\nnew: 1",
        WATCHWORD_CODES__PER="1",
        WATCHWORD_CODE__PER="1m",
    )
    assert [fault.split(": ")[0] for fault in found] == [
        *(f"config/gateway.yaml:{place}" for place in ("1:10", "1:24", "2:18", "2:36", "3:7", "4:1")),
        *("environment:0:0",) * 2,
    ]


def test_a_broken_file_does_not_hide_the_environment(home: Home) -> None:
    found = home.faults("listen: [", WATCHWORD_CODES__PER="1")
    assert [fault.split(": ")[0] for fault in found] == ["config/gateway.yaml:1:10", "environment:0:0"]


def test_a_missing_file_is_a_fault(home: Home) -> None:
    with pytest.raises(Faulty, match=r"^missing\.yaml:0:0: cannot be read: No such file or directory$"):
        load_settings(Path("missing.yaml"), {})


def test_settings_can_be_made_in_code_and_are_frozen() -> None:
    made = Settings(
        store=Store(data_dir=Path("/elsewhere")), sessions=Sessions(idle=1.5), public_scheme="http"
    )
    assert made.keys == Path("/elsewhere/keys.json")
    assert made.sessions.idle == 1.5
    with pytest.raises(ValidationError):
        made.issuer = "Else"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("host", "insecure"),
    [
        ("localhost", False),
        ("exchange.localhost", False),
        ("127.0.0.1", False),
        ("127.8.9.10", False),
        ("[::1]", False),
        ("localhost.example", True),
        ("mylocalhost", True),
        ("128.0.0.1", True),
        ("[::2]", True),
        ("exchange.example", True),
    ],
)
def test_plain_http_is_for_loopback_only(host: str, insecure: bool) -> None:
    assert insecure_hosts(["localhost", host]) == ([host] if insecure else [])


def test_the_variables_of_an_environment_that_are_settings() -> None:
    environ = {"WATCHWORD_ISSUER": "x", "WATCHWORD_KEYS": "", "WATCHWORD_TYPO": "x", "ISSUER": "x"}
    names = ["WATCHWORD_CODES__LOCK", "WATCHWORD_ISSUER"]
    assert variables_in({**environ, "WATCHWORD_CODES__LOCK": "?"}) == names
