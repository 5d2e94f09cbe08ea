import pytest
from support.notices import MESSAGE

from gateway.notices.sending import NotSent, Nowhere


def test_a_failure_may_pass_unless_it_says_otherwise() -> None:
    assert not NotSent("a reason").final
    assert NotSent("a reason", final=True).final


async def test_what_has_no_channel_waits() -> None:
    sender = Nowhere()
    with pytest.raises(NotSent, match="settings") as raised:
        await sender.send(MESSAGE)
    assert not raised.value.final
    await sender.close()
