"""What memory lets through, and what it leaves to the store."""

from dataclasses import replace

import pytest
from support.gateway import Scene
from support.resets import FORGET_AT, opened, waiting
from support.upstreams import until

from gateway import clock
from gateway.core.ending import Ending, Scope
from gateway.core.reasons import Reason
from gateway.core.target import parse_target
from gateway.proxy.passage import Passage, may_resume
from gateway.web.cookies import OwnCookies

NOBODY = OwnCookies(session=None, device=None, resume=None)


def plain(scene: Scene, line: str, cookies: OwnCookies = NOBODY, host: str = "localhost") -> Passage | None:
    pipeline = scene.gateway.pipeline
    method, path = line.split()
    target, place = parse_target(method, path, host), pipeline.memory.place_of(cookies)
    return pipeline.memory.plain(pipeline.policies, target, place, scene.clock.now)


async def remembered(scene: Scene, *groups: str) -> OwnCookies:
    """Cookies of a person whom memory knows."""
    ada = await scene.signed_in(groups=groups)
    assert (await ada.call("GET /mine")).status == 200
    return replace(NOBODY, session=ada.session)


async def test_what_is_public_passes_for_nobody_in_particular(scene: Scene) -> None:
    for cookies in (NOBODY, await remembered(scene), replace(NOBODY, session="00.unknown")):
        passage = plain(scene, "GET /public/x", cookies)
        assert passage is not None
        assert (passage.snapshot, passage.as_of) == (None, None)
        assert (passage.forward.reason, passage.forward.permit.account) == (Reason.PUBLIC, None)


@pytest.mark.parametrize(
    ("line", "passes"),
    [
        ("GET /mine", True),
        ("POST /mine", True),
        ("GET /staff/x", True),
        ("GET /admin", False),
        ("GET /password", False),
        ("GET /orders/7", False),
        ("GET /profile", False),
        ("GET /.watchword", False),
        ("GET /.watchword/api/me", False),
        ("GET /.watchword/nothing", False),
    ],
)
async def test_a_person_whom_memory_knows(scene: Scene, line: str, passes: bool) -> None:
    cookies = await remembered(scene, "staff")
    passage = plain(scene, line, cookies)
    assert (passage is not None) == passes
    assert plain(scene, line) is None, "nobody may pass there"
    assert plain(scene, line, cookies, host="other.example") is None
    if passage is not None:
        assert passage.snapshot is not None
        assert passage.forward.reason is Reason.SESSION_LIVE
        assert passage.forward.permit.session_id == passage.snapshot.session.id
        assert passage.forward.permit.match == passage.match


async def test_groups_count(scene: Scene) -> None:
    assert plain(scene, "GET /staff/x", await remembered(scene, "traders")) is None
    assert plain(scene, "GET /staff/x") is None


@pytest.mark.parametrize(
    ("method", "resume", "may"), [("GET", "x", True), ("HEAD", "x", False), ("GET", None, False)]
)
def test_the_way_back_from_a_step_up(method: str, resume: str | None, may: bool) -> None:
    """Only a GET is swapped."""
    assert may_resume(parse_target(method, "/", "localhost"), replace(NOBODY, resume=resume)) is may


async def test_the_mark_is_from_before_memory_was_asked(scene: Scene) -> None:
    """So that an ending in between is not missed."""
    cookies = await remembered(scene)
    live = scene.gateway.live
    boottime = clock.boottime

    def ending_meanwhile() -> float:
        """Memory looks at the time, to see whether it may still be trusted."""
        live.cut(Ending("r", Scope.ACCOUNT, subject="ada", epoch=2**60))
        return boottime()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "boottime", ending_meanwhile)
        passage = plain(scene, "GET /mine", cookies)
    assert passage is not None and passage.snapshot is not None
    cut: list[str] = []
    live.register(passage.snapshot.session, cut.append, since=passage.as_of)
    assert len(cut) == 1


async def test_whom_memory_does_not_know_is_for_the_store(scene: Scene) -> None:
    ada = await scene.signed_in()
    cookies = replace(NOBODY, session=ada.session)
    assert plain(scene, "GET /mine", cookies) is None
    await ada.call("GET /mine")
    assert plain(scene, "GET /mine", cookies) is not None
    scene.clock.advance(3601)
    assert plain(scene, "GET /mine", cookies) is None, "an idle session"


async def test_who_is_to_be_told_of_a_reset_is_not_plain(scene: Scene) -> None:
    store = scene.gateway.store
    ada = await scene.signed_in(factor=True)
    cookies = replace(NOBODY, session=ada.session)
    await ada.call("GET /mine")
    assert plain(scene, "GET /mine", cookies) is not None
    reset = await opened(store)
    assert await store.resets.move(reset, waiting(reset), forget_at=FORGET_AT)
    await until(lambda: plain(scene, "GET /mine", cookies) is None)
    assert (await ada.call("GET /mine")).status == 200  # and with this, memory knows her again
    who = scene.gateway.pipeline.memory._who
    assert who.remembered(who.place_of(ada.session), scene.clock.now) is not None
    assert plain(scene, "GET /mine", cookies) is None
    assert plain(scene, "GET /public/x", cookies) is not None


async def test_the_policies_of_now_count(scene: Scene) -> None:
    cookies = await remembered(scene)
    scene.policy.write_text(scene.policy.read_text().replace("unmatched: session", "unmatched: deny"))
    assert scene.gateway.reload_policies() == ()
    assert plain(scene, "GET /mine", cookies) is None
    assert plain(scene, "GET /public/x", cookies) is not None
