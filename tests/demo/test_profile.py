from collections.abc import Awaitable, Callable

import pytest
from aiohttp.test_utils import TestClient


async def test_a_profile_is_saved_and_used(ada: TestClient) -> None:
    response = await ada.post("/profile", data={"display_name": " Countess ", "phone": "+47 22 12 34 56"})
    html = await response.text()
    assert response.status == 200
    assert "Your profile is saved." in html
    assert 'value="Countess"' in html
    assert "checked" not in html
    assert "Hello, Countess" in await (await ada.get("/")).text()


async def test_a_profile_starts_from_the_identity(ada: TestClient) -> None:
    html = await (await ada.get("/profile")).text()
    assert "ada@example.test" in html
    assert "Leave it empty for Ada Lovelace." in html
    assert "checked" in html
    assert "saved" not in html


async def test_groups_are_shown_to_those_who_have_some(visit: Callable[..., Awaitable[TestClient]]) -> None:
    grace = await visit("grace", Remote_Groups="customers, beta")
    html = await (await grace.get("/profile")).text()
    assert "customers, beta" in html
    assert "E-mail</dt>" not in html


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({"phone": "call me"}, "Write the phone number in digits"),
        ({"display_name": "x" * 61}, "60 characters"),
    ],
)
async def test_a_wrong_profile_changes_nothing(
    ada: TestClient, fields: dict[str, object], advice: str
) -> None:
    response = await ada.post("/profile", data=fields)
    html = await response.text()
    assert response.status == 422
    assert advice in html
    assert f'value="{next(iter(fields.values()))}"' in html
    assert next(iter(fields.values())) not in await (await ada.get("/profile")).text()


async def test_a_profile_as_json(ada: TestClient) -> None:
    profile = {"display_name": "Countess", "phone": "", "price_alerts": True}
    assert await (await ada.post("/profile", json=profile)).json() == profile
    assert not (await (await ada.post("/profile", json={"price_alerts": ["on"]})).json())["price_alerts"]
    response = await ada.post("/profile", json={"phone": "call me"})
    assert (response.status, list((await response.json())["errors"])) == (422, ["phone"])
    assert (await ada.post("/profile", data=b"{", headers={"Content-Type": "application/json"})).status == 400
