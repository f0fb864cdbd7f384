"""The third party's webhook that demos and drills point a channel at."""

import pytest
from tests.support.sandbox import Box

pytestmark = pytest.mark.integration

HOOK = "/third-party/line-bridge/webhook"


def message(text: str):
    return {"type": "gateway.message.send.v1", "data": {"content": {"type": "text", "text": text}}}


async def read(box: Box, after: int = 0, name: str = "line-bridge"):
    answer = await box.client.get(f"/third-party/{name}/messages?after={after}")
    return answer.json()["data"]


async def test_challenges_are_answered(box: Box):
    answer = await box.client.post(HOOK, json={"type": "challenge", "challenge": "abc"})
    assert answer.json() == {"challenge": "abc"}
    assert await read(box) == []


async def test_messages_are_kept_and_acknowledged_once(box: Box):
    first = await box.client.post(HOOK, json=message("one"), headers={"webhook-id": "evt_1"})
    again = await box.client.post(HOOK, json=message("one"), headers={"webhook-id": "evt_1"})
    await box.client.post(HOOK, json=message("two"), headers={"webhook-id": "evt_2"})
    assert first.json()["message_id"].startswith("tp_")
    assert first.json() == again.json()

    kept = await read(box)
    assert [each["data"]["content"]["text"] for each in kept] == ["one", "two"]
    assert kept[0]["message_id"] == first.json()["message_id"]
    assert await read(box, after=kept[0]["n"]) == kept[1:]
    assert await read(box, name="another") == []


async def test_everything_is_in_the_journal(box: Box):
    await box.client.post(HOOK, json=message("one"), headers={"webhook-signature": "v1,abc"})
    (entry,) = await box.journal()
    assert (entry["kind"], entry["path"], entry["status"]) == ("call", HOOK, 200)
    assert entry["headers"]["webhook-signature"] == "v1,abc"


@pytest.mark.parametrize("body", [b"", b"[1]", b"nonsense", b"[" * 100_000])
async def test_nonsense_is_refused(box: Box, body: bytes):
    answer = await box.client.post(HOOK, content=body)
    assert answer.status_code == 400


async def test_it_fails_when_told(box: Box):
    await box.control(
        "POST",
        "/faults",
        {"call": "third_party", "page_id": "line-bridge", "mode": "error", "status": 503},
    )
    refused = await box.client.post(HOOK, json=message("one"))
    taken = await box.client.post(HOOK, json=message("one"))
    assert (refused.status_code, taken.status_code) == (503, 200)
    assert len(await read(box)) == 1


async def test_it_keeps_the_last_thousand(box: Box):
    for number in range(1_003):
        await box.client.post(HOOK, json=message(str(number)))
    kept = await read(box)
    assert len(kept) == 1_000
    assert kept[0]["data"]["content"]["text"] == "3"
