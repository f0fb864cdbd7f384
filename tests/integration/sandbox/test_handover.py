"""Who controls a thread, and what the other apps see of it."""

import pytest
from tests.support.sandbox import ALL_FIELDS, APP_ID, PAGE, PSID, TEXT, Box, Hook, error_of

from gateway.sandbox.world import PAGE_INBOX_APP_ID

pytestmark = pytest.mark.integration

VISITOR = f"/pages/{PAGE}/visitors/{PSID}"


async def control(box: Box, action: str, **body):
    return await box.graph(
        "POST", f"{PAGE}/{action}_thread_control", json={"recipient": {"id": PSID}, **body}
    )


async def owner(box: Box):
    answer = await box.graph("GET", f"{PAGE}/thread_owner?recipient={PSID}")
    return [row["thread_owner"]["app_id"] for row in answer.json()["data"]]


@pytest.fixture
async def two_apps(talking: Box, hook: Hook) -> Box:
    """Both apps see one webhook address; the app of `EAAsecond` is number 42."""
    await talking.control(
        "POST", "/apps", {"app_id": "42", "webhook_url": "http://gateway.test/42"}
    )
    await talking.page(
        app_id="42", access_token="EAAsecond", subscribed_fields=ALL_FIELDS.split(",")
    )
    return talking


async def test_an_idle_thread_has_no_owner(talking: Box):
    assert await owner(talking) == []
    answer = await talking.graph("GET", f"{PAGE}/thread_owner?recipient=4711")
    assert error_of(answer) == (100, 2018001)


async def test_take_pass_release(two_apps: Box):
    assert (await control(two_apps, "take")).json() == {"success": True}
    assert await owner(two_apps) == [APP_ID]
    assert (await control(two_apps, "pass", target_app_id="42")).json() == {"success": True}
    assert await owner(two_apps) == ["42"]
    assert error_of(await control(two_apps, "release")) == (10, 2018300)
    assert error_of(await control(two_apps, "pass", target_app_id="42")) == (10, 2018300)
    await control(two_apps, "take")
    assert (await control(two_apps, "release")).json() == {"success": True}
    assert await owner(two_apps) == []


async def test_passing_to_nobody_known(talking: Box):
    assert error_of(await control(talking, "pass", target_app_id="7")) == (100, 2018164)
    assert error_of(await control(talking, "pass")) == (100, 2018164)


async def test_those_concerned_are_told(two_apps: Box, hook: Hook):
    await control(two_apps, "take", metadata="mine")
    await control(two_apps, "pass", target_app_id="42", metadata="yours")
    await control(two_apps, "request", metadata="please")
    await control(two_apps, "take", metadata="mine again")
    await hook.wait_for(3)
    assert [request.url.path for request in hook.requests] == ["/42"] * 3
    passed, requested, taken = hook.items()
    assert passed["pass_thread_control"] == {
        "previous_owner_app_id": APP_ID,
        "new_owner_app_id": "42",
        "metadata": "yours",
    }
    assert requested["request_thread_control"] == {
        "requested_owner_app_id": APP_ID,
        "metadata": "please",
    }
    assert taken["take_thread_control"]["previous_owner_app_id"] == "42"


async def test_sending_on_a_thread_of_another_app(two_apps: Box):
    await control(two_apps, "pass", target_app_id="42")
    refused = await two_apps.send(message=TEXT)
    assert (refused.status_code, error_of(refused)) == (403, (10, 2018300))
    assert error_of(await two_apps.send(sender_action="typing_on")) == (10, 2018300)
    await control(two_apps, "take")
    assert (await two_apps.send(message=TEXT)).status_code == 200


async def test_the_others_get_standby_without_payload(two_apps: Box, hook: Hook):
    await control(two_apps, "pass", target_app_id="42")
    await hook.wait_for(1)
    hook.clear()
    await two_apps.visitor({"postback": {"title": "Go", "payload": "GO"}})
    by_path = {
        request.url.path: body for request, body in zip(hook.requests, hook.bodies(), strict=True)
    }
    (mine,) = by_path[f"/webhooks/meta/{APP_ID}"]["entry"]
    (theirs,) = by_path["/42"]["entry"]
    assert mine["standby"][0]["postback"].keys() == {"mid", "title"}
    assert "messaging" not in mine
    assert theirs["messaging"][0]["postback"]["payload"] == "GO"


async def test_control_ends_after_24_hours_of_silence(two_apps: Box):
    await control(two_apps, "pass", target_app_id="42")
    await two_apps.advance(hours=23)
    await two_apps.says("still here")
    await two_apps.advance(hours=23)
    assert await owner(two_apps) == ["42"]
    await two_apps.advance(hours=2)
    assert await owner(two_apps) == []


async def test_control_can_be_extended(two_apps: Box):
    await control(two_apps, "take")
    assert (await control(two_apps, "extend", duration=3 * 86400)).json() == {"success": True}
    await two_apps.advance(days=2)
    assert await owner(two_apps) == [APP_ID]
    assert error_of(await control(two_apps, "extend", duration=8 * 86400)) == (100, None)
    assert error_of(await control(two_apps, "extend")) == (100, None)


async def test_the_inbox_answers_beside_us(talking: Box, hook: Hook):
    await talking.control("POST", f"{VISITOR}/inbox", {"text": "Ana here"})
    await hook.wait_for(2)
    echo = hook.items()[0]["message"]
    assert (echo["app_id"], echo["text"]) == (int(PAGE_INBOX_APP_ID), "Ana here")
    assert (await talking.send(message=TEXT)).status_code == 200


async def test_the_inbox_takes_the_thread(talking: Box, hook: Hook):
    await control(talking, "take")
    await talking.control("POST", f"{VISITOR}/inbox", {"text": "Mine", "take_thread": True})
    await hook.wait_for(2)
    (taken,) = (item for item in hook.items() if "take_thread_control" in item)
    assert taken["take_thread_control"]["new_owner_app_id"] == PAGE_INBOX_APP_ID
    (echo, *_) = hook.items("standby")
    assert echo["message"]["text"] == "Mine"
    assert error_of(await talking.send(message=TEXT)) == (10, 2018300)
