"""F4: the way to a new phone, on which nothing is switched off before the new one has given a code."""

import re

from redis.asyncio import Redis
from support.gateway import Client, Scene
from support.raw_client import Answer

OWN = "/.watchword"
MOVE = f"{OWN}/security/move"
UNKNOWN = "00" + "f" * 30


def page(answer: Answer, status: int = 200) -> str:
    assert answer.status == status, answer
    assert answer.header(b"cache-control") == [b"no-store"]
    return answer.body.decode()


def leads_to(answer: Answer) -> str:
    assert answer.status == 303, answer
    return answer.header(b"location")[0].decode()


def key_in(html: str) -> str:
    return re.sub(r"<[^>]*>|\s", "", re.findall(r"<code.*?</code>", html, re.DOTALL)[0])


async def labels(client: Client) -> dict[str, str]:
    """States of the factors by label."""
    return {f["label"]: f["state"] for f in (await client.call(f"GET {OWN}/api/me")).json["factors"]}


async def begun(ada: Client) -> str:
    """Begin a move with a code of the old phone; the address of its second step."""
    challenge = leads_to(await ada.visit(f"POST {MOVE}", {"label": "New phone"}))
    assert "Adding an authenticator app" in page(await ada.visit(f"GET {challenge}"))
    assert leads_to(await ada.visit(f"POST {challenge}", {"code": ada.next_code()})) == MOVE
    return leads_to(await ada.visit(f"GET {MOVE}"))


async def test_f4_step_by_step(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    assert f'href="{MOVE}"' in page(await ada.visit(f"GET {OWN}/security"))
    html = page(await ada.visit(f"GET {MOVE}"))
    for words in ("Move to a new phone", "stays valid until you remove it", "setup key saved", "Never share"):
        assert words in html

    second = await begun(ada)
    html = page(await ada.visit(f"GET {second}"))
    assert "Set up New phone" in html
    assert f'action="{second}"' in html
    old_key, ada.setup_key = ada.setup_key, key_in(html)
    assert await labels(ada) == {"Phone": "confirmed", "New phone": "pending"}
    refused = page(await ada.visit(f"POST {second}", {"code": ada.wrong_code()}), status=403)
    assert "That code is not right" in refused
    assert key_in(refused) == ada.setup_key

    assert leads_to(await ada.visit(f"POST {second}", {"code": ada.code()})) == second
    assert await labels(ada) == {"Phone": "confirmed", "New phone": "confirmed"}
    html = page(await ada.visit(f"GET {second}"))
    assert "The new phone works" in html
    (remove,) = re.findall(r'action="([^"]*/remove)"', html)  # the new one is not offered
    done = await ada.visit(f"POST {remove}", {"code": ada.next_code()})  # a code of the new phone
    assert leads_to(done) == f"{OWN}/security?notice=factor-removed"
    assert await labels(ada) == {"New phone": "confirmed"}
    assert "the new phone is the only one" in page(await ada.visit(f"GET {second}"))
    assert ada.setup_key != old_key


async def test_a_move_that_is_broken_off_changes_nothing(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    challenge = leads_to(await ada.visit(f"POST {MOVE}", {"label": "New phone"}))
    assert await labels(ada) == {"Phone": "confirmed"}
    assert page(await ada.visit(f"POST {challenge}", {"code": ada.wrong_code()}), status=403)
    assert await labels(ada) == {"Phone": "confirmed"}
    await begun(ada)
    assert await labels(ada) == {"Phone": "confirmed", "New phone": "pending"}
    asked = await ada.call("POST /api/transfers", {"amount": "1", "address": "x"})
    assert (await ada.answer(asked)).status == 200, "the old phone serves as before"


async def test_without_the_old_phone_a_recovery_code_begins_it_and_the_old_one_stays_for_a_while(
    scene: Scene,
) -> None:
    ada = await scene.signed_in(factor=True)
    challenge = leads_to(await ada.visit(f"POST {MOVE}", {"label": "New phone"}))
    used = await ada.visit(f"POST {challenge}/recovery", {"recovery_code": ada.recovery_codes[0]})
    assert leads_to(used) == MOVE
    second = leads_to(await ada.visit(f"GET {MOVE}"))
    ada.setup_key = key_in(page(await ada.visit(f"GET {second}")))
    assert leads_to(await ada.visit(f"POST {second}", {"code": ada.code()})) == second
    html = page(await ada.visit(f"GET {second}"))
    assert "it cannot remove another one yet" in html
    assert "/remove" not in html


async def test_there_is_nothing_to_move_from_without_a_factor(scene: Scene) -> None:
    ada = await scene.signed_in()
    assert leads_to(await ada.visit(f"GET {MOVE}")) == f"{OWN}/security"


async def test_only_ones_own_step_is_shown(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    second = await begun(ada)
    eve, elsewhere = await scene.signed_in("eve", factor=True), await scene.signed_in()
    for client, address in (
        (eve, second),
        (elsewhere, second),
        (ada, f"{MOVE}/{UNKNOWN}"),
        (ada, f"{MOVE}/x"),
    ):
        assert leads_to(await client.visit(f"GET {address}")) == MOVE
        assert leads_to(await client.visit(f"POST {address}", {"code": "123456"})) == address


async def test_who_has_as_many_as_one_may_have_is_told(scene: Scene, valkey: Redis) -> None:
    ada = await scene.signed_in(factor=True)
    await valkey.hset("ww:{s00}:account:ada", "factors", "10")
    assert "You have as many as an account can have" in page(await ada.visit(f"GET {MOVE}"))
    challenge = leads_to(await ada.visit(f"POST {MOVE}", {"label": "New phone"}))
    assert leads_to(await ada.visit(f"POST {challenge}", {"code": ada.next_code()})) == MOVE
    assert leads_to(await ada.visit(f"GET {MOVE}")) == MOVE


async def test_who_lost_the_last_factor_on_the_way_gets_recovery_codes_with_the_new_one(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    second = await begun(ada)
    html = page(await ada.visit(f"GET {second}"))
    remove = next(
        address
        for address in re.findall(r'action="([^"]*/remove)"', page(await ada.visit(f"GET {OWN}/security")))
        if second.rpartition("/")[2] not in address
    )
    removed = await ada.visit(f"POST {remove}", {"code": ada.next_code()})
    assert leads_to(removed) == f"{OWN}/security?notice=factor-removed"
    ada.setup_key = key_in(html)
    html = page(await ada.visit(f"POST {second}", {"code": ada.code()}))
    assert len(re.findall(r"<code>[0-9A-Z-]{19}</code>", html)) == 10
