"""`watchword user`: the local accounts."""

import os
import pwd
import re
import sys
from typing import Annotated

import typer

from gateway import clock
from gateway.cli.common import Config, Json, one_line, settings_from, with_store
from gateway.cli.output import console, fail, failures, show_ended, show_json, show_table
from gateway.core.profile import is_email
from gateway.core.records import Account
from gateway.identity.passwords import LONGEST, SHORTEST, Passwords
from gateway.identity.sign_in import LONGEST_SUBJECT
from gateway.store.audit import AuditEntry
from gateway.store.keyring import KeyRing
from gateway.store.opening import Store
from gateway.store.orders import Revocation

app = typer.Typer(no_args_is_help=True, help="The accounts of people who may sign in.")

Subject = Annotated[str, typer.Argument(help="The account: the name that it signs in with.")]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]

_SUBJECT = re.compile(rf"[a-z0-9][a-z0-9._@+\-]{{0,{LONGEST_SUBJECT - 1}}}")


def actor() -> str:
    """Who is at the keyboard, for the audit stream: the login name, or the number of one who has none."""
    return f"cli:{os.environ.get('USER') or _login_name()}"


def _login_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # as in a container that runs under any number
        return str(os.getuid())


@app.command()
def add(
    subject: Annotated[str, typer.Argument(help="The name to sign in with, in lower case.")],
    name: Annotated[str, typer.Option(help="The person's name, as apps see it.")] = "",
    email: Annotated[str, typer.Option(help="The person's e-mail address, for apps and for notices.")] = "",
    group: Annotated[
        list[str] | None, typer.Option(help="A group, for policies and apps; may be given several times.")
    ] = None,
    password_stdin: PasswordStdin = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Add an account. The password is asked for, twice, or read from standard input (--password-stdin).

    This may come before the first start: where policies are, it sets up the key ring and the store.
    """
    if not _SUBJECT.fullmatch(subject):
        raise typer.BadParameter("lower-case letters, digits and . _ @ + - only", param_hint="SUBJECT")
    if any(not text.isprintable() or text != text.strip() for text in (name, email, *(group or ()))) or any(
        not text or "," in text for text in group or ()
    ):  # apps are told these in headers, which could not carry anything else
        raise typer.BadParameter("names, addresses and groups are plain text, groups without commas")
    password = _new_password(from_stdin=password_stdin, as_json=as_json)

    async def added(store: Store, _: KeyRing) -> bool:
        hashed = await _hash(password)
        now = clock.now()
        done = await store.accounts.add(
            subject=subject,
            name=name,
            email=email,
            groups=frozenset(group or ()),
            password_hash=hashed,
            now=now,
        )
        if done:
            await store.audit.record(AuditEntry(now, "account-added", actor(), subject))
        return done

    with failures(as_json=as_json):
        done = with_store(settings_from(config), added, before_first_start=True)
    if not done:
        raise fail(f"There is an account {subject!r} already.", as_json=as_json)
    if as_json:
        show_json({"subject": subject})
    else:
        console.print(f"Added {subject}.")


@app.command("list")
def list_accounts(config: Config = None, as_json: Json = False) -> None:
    """List all accounts."""

    async def listed(store: Store, _: KeyRing) -> tuple[list[Account], frozenset[str]]:
        accounts = await store.accounts.list()
        return accounts, await store.attempts.locked(account.subject for account in accounts)

    with failures(as_json=as_json):
        accounts, locked = with_store(settings_from(config), listed)
    if as_json:
        show_json([_row(account, locked) for account in accounts])
        return
    if not accounts:
        console.print("There is no account yet; watchword user add makes one.")
        return
    show_table(
        ("subject", "name", "e-mail", "groups", "factors", "state"),
        (
            (
                account.subject,
                account.name,
                account.email,
                ", ".join(sorted(account.groups)),
                str(account.confirmed_factors),
                _state(account, locked),
            )
            for account in accounts
        ),
    )


@app.command("password")
def set_password(
    subject: Subject,
    password_stdin: PasswordStdin = False,
    reason: Annotated[
        str, typer.Option(callback=one_line, help="Why, for the audit stream.")
    ] = "set by an operator",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Give an account a new password, and end all its sessions at once. Check who asks for it first.

    It is asked for, twice, or read from standard input (--password-stdin). The account's holder is told.
    Where that end is not certain yet, it is pending, and this ends with 1: see watchword revoke.
    """
    password = _new_password(from_stdin=password_stdin, as_json=as_json)

    async def changed(store: Store, _: KeyRing) -> Revocation | None:
        hashed, now = await _hash(password), clock.now()
        entry = AuditEntry(now, "password-set", actor(), subject, reason=reason)
        return await store.revocations.by_set_password(
            subject, hashed, reason=reason, actor=actor(), now=now, entries=[entry]
        )

    with failures(as_json=as_json):
        done = with_store(settings_from(config), changed)
    if done is None:
        raise fail(f"There is no account {subject!r}.", as_json=as_json)
    show_ended(done, f"{subject} has a new password, and no session any more", as_json=as_json)


@app.command()
def disable(subject: Subject, config: Config = None, as_json: Json = False) -> None:
    """Keep an account from signing in, and end all its sessions at once.

    Where that end is not certain yet, it is pending, and this ends with 1: see watchword revoke.
    """

    async def disabled(store: Store, _: KeyRing) -> Revocation | None:
        now = clock.now()
        entry = AuditEntry(now, "account-disabled", actor(), subject)
        return await store.revocations.account(
            subject, reason="account disabled", actor=actor(), now=now, disable=True, entries=[entry]
        )

    with failures(as_json=as_json):
        done = with_store(settings_from(config), disabled)
    if done is None:
        raise fail(f"There is no account {subject!r}.", as_json=as_json)
    show_ended(done, f"{subject} is disabled", as_json=as_json, disabled=True)


@app.command()
def enable(subject: Subject, config: Config = None, as_json: Json = False) -> None:
    """Let a disabled account sign in again; its old sessions stay ended."""

    async def enabled(store: Store, _: KeyRing) -> bool:
        done = await store.accounts.enable(subject)
        if done:
            await store.audit.record(AuditEntry(clock.now(), "account-enabled", actor(), subject))
        return done

    with failures(as_json=as_json):
        done = with_store(settings_from(config), enabled)
    if not done:
        raise fail(f"There is no account {subject!r}.", as_json=as_json)
    if as_json:
        show_json({"subject": subject, "disabled": False})
    else:
        console.print(f"{subject} is enabled.", markup=False)


@app.command("email")
def set_email(
    subject: Subject,
    address: Annotated[str, typer.Argument(help="The address, which you vouch for.")],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Set a person's e-mail address.

    Apps are told it, even where they are not told an address that people set themselves (profile.email).
    """
    if not is_email(address):
        raise typer.BadParameter("write one plain address, such as ada@example.org", param_hint="ADDRESS")

    async def changed(store: Store, _: KeyRing) -> bool:
        before = await store.accounts.find(subject)
        done = await store.accounts.set_email(subject, address)
        if done and before is not None:
            entry = AuditEntry(clock.now(), "profile-changed", actor(), subject, reason="e-mail")
            await store.audit.record(entry, also_to=before.email)
        return done

    with failures(as_json=as_json):
        done = with_store(settings_from(config), changed)
    if not done:
        raise fail(f"There is no account {subject!r}.", as_json=as_json)
    if as_json:
        show_json({"subject": subject, "email": address})
    else:
        console.print(f"{subject} is at {address}.", markup=False)


@app.command()
def unlock(
    subject: Subject,
    reason: Annotated[
        str, typer.Option(callback=one_line, help="Why, for the audit stream.")
    ] = "unlocked by an operator",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Let an account's codes count again, after too many wrong ones in a row. Check who asks for it first."""

    async def unlocked(store: Store, _: KeyRing) -> bool | None:
        """Whether they were locked."""
        if await store.accounts.find(subject) is None:
            return None
        locked = subject in await store.attempts.locked([subject])
        await store.attempts.unlock(subject)
        await store.audit.record(AuditEntry(clock.now(), "codes-unlocked", actor(), subject, reason=reason))
        return locked

    with failures(as_json=as_json):
        was_locked = with_store(settings_from(config), unlocked)
    if was_locked is None:
        raise fail(f"There is no account {subject!r}.", as_json=as_json)
    if as_json:
        show_json({"subject": subject, "codes_locked": False, "were_locked": was_locked})
    elif was_locked:
        console.print(f"The codes of {subject} count again.")
    else:
        console.print(
            f"The codes of {subject} were not locked. If wrong ones made the next one wait, no more."
        )


def _new_password(*, from_stdin: bool, as_json: bool) -> str:
    password = _read_password(as_json=as_json) if from_stdin else _ask_password(as_json=as_json)
    if not SHORTEST <= len(password) <= LONGEST:
        raise fail(f"A password has {SHORTEST} to {LONGEST} characters.", as_json=as_json)
    return password


async def _hash(password: str) -> str:
    passwords = Passwords()
    try:
        return await passwords.hash(password)
    finally:
        passwords.close()


def _read_password(*, as_json: bool) -> str:
    try:
        return sys.stdin.buffer.readline().decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise fail("The password is not UTF-8.", as_json=as_json) from None


def _ask_password(*, as_json: bool) -> str:
    if not sys.stdin.isatty():
        message = "There is no terminal to ask for a password; give it with --password-stdin."
        raise fail(message, as_json=as_json)
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password


def _state(account: Account, locked: frozenset[str]) -> str:
    state = "disabled" if account.disabled else "active"
    return f"{state}, codes locked" if account.subject in locked else state


def _row(account: Account, locked: frozenset[str]) -> dict[str, object]:
    return {
        "subject": account.subject,
        "name": account.name,
        "email": account.email,
        "groups": sorted(account.groups),
        "factors": account.confirmed_factors,
        "disabled": account.disabled,
        "codes_locked": account.subject in locked,
    }
