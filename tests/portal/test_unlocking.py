"""Locked codes, and the recovery code that lets them count again."""

import pytest
from support.gateway import Client, OpenScene, Scene
from support.own_pages import alert, leads_to, page, problem

OWN = "/.watchword"
UNLOCK, API, SECURITY = f"{OWN}/unlock", f"{OWN}/api/unlock", f"{OWN}/security"
LOCKS_SOON = {"attempts": 2, "lock": 2}


async def locked_out(scene: Scene) -> Client:
    """Ada, once too many wrong codes were typed."""
    ada = await scene.signed_in(factor=True)
    asked = await ada.call("POST /api/transfers", {"amount": 1, "address": "b"})
    reasons = [(await ada.answer(asked, ada.wrong_code())).json["reason"] for _ in range(2)]
    assert reasons == ["wrong-code", "codes-locked"], "the one that locks says so"
    return ada


async def events(scene: Scene) -> list[str]:
    entries = await scene.gateway.store.audit.latest("ada")
    return [entry.event for entry in entries if "code" in entry.event]


async def test_the_way_from_the_lock_to_codes_that_count(open_scene: OpenScene) -> None:
    async with open_scene(codes=LOCKS_SOON) as scene:
        ada = await locked_out(scene)
        html = page(await ada.visit(f"GET {SECURITY}"))
        assert "Codes are locked" in html
        assert f'href="{UNLOCK}"' in html
        html = page(await ada.visit(f"GET {UNLOCK}"))
        assert "Ask support to unlock your codes." in html
        html = page(await ada.visit(f"POST {UNLOCK}", {"recovery_code": "0000-0000-0000-0000"}), status=403)
        assert "That recovery code is not right" in alert(html)
        done = leads_to(await ada.visit(f"POST {UNLOCK}", {"recovery_code": ada.recovery_codes[0]}))
        assert done == f"{SECURITY}?notice=codes-unlocked"
        html = page(await ada.visit(f"GET {done}"))
        assert "Codes count again." in html
        assert "Codes are locked" not in html
        assert (await events(scene))[:2] == ["codes-unlocked", "recovery-code-used"]
        asked = await ada.call("POST /api/transfers", {"amount": 1, "address": "b"})
        assert (await ada.answer(asked)).status == 200


async def test_the_same_by_a_call(open_scene: OpenScene) -> None:
    async with open_scene(codes=LOCKS_SOON) as scene:
        ada = await locked_out(scene)
        wrong = await ada.call(f"POST {API}", {"recovery_code": "0000-0000-0000-0000"})
        assert problem(wrong) == (403, "wrong-recovery-code")
        done = await ada.call(f"POST {API}", {"recovery_code": ada.recovery_codes[0]})
        assert (done.status, done.json) == (200, {"recovery_codes_left": 9})
        again = await ada.call(f"POST {API}", {"recovery_code": ada.recovery_codes[1]})
        assert problem(again) == (404, "not-found")


async def test_where_nothing_is_locked_no_recovery_code_is_used_up(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    given = {"recovery_code": ada.recovery_codes[0]}
    assert leads_to(await ada.visit(f"GET {UNLOCK}")) == SECURITY
    assert leads_to(await ada.visit(f"POST {UNLOCK}", given)) == SECURITY
    assert problem(await ada.call(f"POST {API}", given)) == (404, "not-found")
    assert (await ada.call(f"GET {OWN}/api/me")).json["recovery_codes_left"] == 10


async def test_it_unlocks_and_proves_nothing_else(open_scene: OpenScene) -> None:
    async with open_scene(codes=LOCKS_SOON) as scene:
        ada = await locked_out(scene)
        before = (await ada.call(f"GET {OWN}/api/me")).json["grants"]
        await ada.call(f"POST {API}", {"recovery_code": ada.recovery_codes[0]})
        for line in ("POST /api/transfers", f"PUT {OWN}/api/profile", f"POST {OWN}/api/factors"):
            assert problem(await ada.call(line, {"amount": 1, "address": "b"})) == (401, "code-needed")
        assert (await ada.call(f"GET {OWN}/api/me")).json["grants"] == before


async def test_guesses_count_with_those_at_all_other_doors(open_scene: OpenScene) -> None:
    async with open_scene(codes=LOCKS_SOON) as scene:
        ada = await locked_out(scene)
        asked = await ada.call("POST /api/transfers", {"amount": 1, "address": "b"})
        wrong = "0000-0000-0000-0000"
        assert (await ada.recover(asked, wrong)).status == 403
        assert (await ada.call(f"POST {API}", {"recovery_code": wrong})).status == 403
        right = {"recovery_code": ada.recovery_codes[0]}
        assert problem(await ada.call(f"POST {API}", right)) == (429, "too-many-attempts")
        html = page(await ada.visit(f"POST {UNLOCK}", right), status=429)
        assert "Too many attempts" in alert(html)
        assert await scene.gateway.store.attempts.locked(["ada"]) == {"ada"}


async def test_nobody_elses_recovery_code_unlocks(open_scene: OpenScene) -> None:
    async with open_scene(codes=LOCKS_SOON) as scene:
        ada, eve = await locked_out(scene), await scene.signed_in("eve", factor=True)
        refused = await ada.call(f"POST {API}", {"recovery_code": eve.recovery_codes[0]})
        assert problem(refused) == (403, "wrong-recovery-code")
        assert await scene.gateway.store.attempts.locked(["ada"]) == {"ada"}
        assert (await eve.call(f"GET {OWN}/api/me")).json["recovery_codes_left"] == 10


async def test_where_a_recovery_code_is_not_enough_the_page_leads_here(open_scene: OpenScene) -> None:
    async with open_scene(codes=LOCKS_SOON) as scene:
        ada = await locked_out(scene)
        challenge = leads_to(await ada.visit(f"GET {OWN}/password"))
        html = page(await ada.visit(f"GET {challenge}"))
        assert "Codes are locked" in alert(html)
        assert 'name="code"' not in html and 'name="recovery_code"' not in html
        assert f'href="{UNLOCK}"' in html


@pytest.mark.parametrize("body", [{}, {"recovery_code": 1}, {"code": "123456"}])
async def test_a_recovery_code_is_text(open_scene: OpenScene, body: object) -> None:
    async with open_scene(codes=LOCKS_SOON) as scene:
        ada = await locked_out(scene)
        assert problem(await ada.call(f"POST {API}", body)) == (400, "body-unreadable")
