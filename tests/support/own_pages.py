"""What the gateway's own pages answer, and what stands in them."""

import re
from typing import Any

from support.gateway import Client
from support.raw_client import Answer

from gateway.portal.pages import PAGE_HEADERS


def page(answer: Answer, status: int = 200) -> str:
    """The text of a page, which came with all that a page is sent with."""
    assert answer.status == status, answer
    for name, value in PAGE_HEADERS.items():
        assert answer.header(name.lower().encode()) == [value.encode()]
    return answer.body.decode()


def leads_to(answer: Answer) -> str:
    assert answer.status == 303, answer
    assert answer.header(b"cache-control") == [b"no-store"]
    return answer.header(b"location")[0].decode()


def alert(html: str) -> str:
    """What the page says went wrong."""
    (said,) = re.findall(r'role="alert"[^>]*>([^<]*)<', html)
    return str(said)


def what_was_done(html: str) -> str:
    """What the page says was just done."""
    (found,) = re.findall(r'class="(?:notice|warning)" role="status">([^<]*)<', html)
    return " ".join(found.split())


def action_of(html: str, part: str) -> str:
    """Where the form leads whose address has `part` in it."""
    found = [address for address in re.findall(r'action="([^"]*)"', html) if part in address]
    assert found, html
    return str(found[0])


def problem(answer: Answer) -> tuple[int, str]:
    """Status and reason of a call that was refused."""
    assert answer.header(b"content-type") == [b"application/problem+json"], answer
    return answer.status, answer.json["reason"]


def confirmed(answer: Answer) -> str:
    """The id of what a call has ended, which the only gateway there is has confirmed."""
    assert answer.status == 200, answer
    said = answer.json
    assert said.pop("elapsed_ms") > 0
    found = str(said.pop("id"))
    said.pop("revoked", None)
    assert said == {"confirmed": True, "nodes": 1, "silent": 0}
    return found


async def listed(client: Client, kind: str) -> Any:
    """What `GET /.watchword/api/<kind>` answers."""
    answer = await client.call(f"GET /.watchword/api/{kind}")
    assert answer.status == 200, answer
    return answer.json
