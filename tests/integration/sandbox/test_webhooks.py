"""Webhooks as Meta posts them: signed over escaped bytes, for subscribed fields, in order."""

import asyncio
import hashlib
import hmac
import json

import httpx
import pytest
from tests.support.sandbox import APP_ID, PAGE, PSID, SECRET, TEXT, Box, Hook

pytestmark = pytest.mark.integration


def kinds(hook: Hook) -> list[str]:
    """Say what came, in order."""
    found = []
    for item in hook.items():
        keys = item.keys() - {"sender", "recipient", "timestamp"}
        (kind,) = keys
        echo = kind == "message" and item["message"].get("is_echo")
        found.append("echo" if echo else kind)
    return found


async def test_both_signatures_are_over_the_very_bytes(harbour: Box, hook: Hook):
    await harbour.says("hello")
    (request,) = hook.requests
    assert request.url.path == f"/webhooks/meta/{APP_ID}"
    for header, algorithm in (
        ("X-Hub-Signature", "sha1"),
        ("X-Hub-Signature-256", "sha256"),
    ):
        digest = hmac.new(SECRET.encode(), request.content, algorithm).hexdigest()
        assert request.headers[header] == f"{algorithm}={digest}"
    assert request.headers["content-type"] == "application/json"


async def test_text_is_escaped_as_meta_escapes_it(harbour: Box, hook: Hook):
    await harbour.says("äöå ☕ 😀 a/b <i> 5% x@y")
    (request,) = hook.requests
    assert (
        rb'"text":"\u00e4\u00f6\u00e5 \u2615 \ud83d\ude00 a\/b \u003Ci> 5\u0025 x\u0040y"'
        in request.content
    )
    assert json.loads(request.content)["entry"][0]["messaging"][0]["message"]["text"] == (
        "äöå ☕ 😀 a/b <i> 5% x@y"
    )


async def test_a_lone_surrogate_goes_out_escaped(harbour: Box, hook: Hook):
    answer = await harbour.client.post(
        f"/control/pages/{PAGE}/visitors/{PSID}/messages",
        content=b'{"text":"\\ud83d"}',
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 200
    assert b"\\ud83d" in hook.requests[0].content
    assert (await harbour.journal())[0]["json"]["entry"]


async def test_envelope_of_a_message(harbour: Box, hook: Hook):
    answer = await harbour.says("hello")
    (body,) = hook.bodies()
    (entry,) = body["entry"]
    (item,) = entry["messaging"]

    assert body["object"] == "page"
    assert entry["id"] == PAGE
    assert 0 <= entry["time"] - item["timestamp"] < 1000
    assert item == answer["event"]
    assert item["message"] == {"mid": answer["mid"], "text": "hello"}
    assert (item["sender"], item["recipient"]) == ({"id": PSID}, {"id": PAGE})
    assert answer["status"] == 200


async def test_raw_items_keep_what_they_say_and_lose_what_is_null(harbour: Box, hook: Hook):
    item = {
        "sender": {"id": 5551},
        "timestamp": None,
        "message": {"mid": "m_given", "text": "x", "odd": {"deep": [1, 2.5, "é"]}},
    }
    answer = await harbour.visitor(item)
    assert answer["mid"] == "m_given"
    assert hook.items() == [
        {
            "sender": {"id": 5551},
            "recipient": {"id": PAGE},
            "message": {"mid": "m_given", "text": "x", "odd": {"deep": [1, 2.5, "é"]}},
        }
    ]


async def test_changes_have_their_time_in_seconds(harbour: Box, hook: Hook):
    await harbour.visitor({"field": "feed", "value": {"item": "comment", "verb": "add"}})
    (body,) = hook.bodies()
    (entry,) = body["entry"]
    assert entry["changes"] == [{"field": "feed", "value": {"item": "comment", "verb": "add"}}]
    assert entry["time"] < 10**11


async def test_items_without_a_sender_get_none(harbour: Box, hook: Hook):
    await harbour.page(subscribed_fields=["messaging_policy_enforcement"])
    await harbour.visitor({"policy_enforcement": {"action": "warning", "reason": "r"}})
    (item,) = hook.items()
    assert "sender" not in item


async def test_only_subscribed_fields_are_sent(harbour: Box, hook: Hook):
    await harbour.page(subscribed_fields=["messaging_postbacks"])
    unsent = await harbour.says("hello")
    assert unsent["status"] is None
    assert unsent["webhooks"] == []
    sent = await harbour.visitor({"postback": {"title": "Go", "payload": "GO"}})
    assert sent["status"] == 200
    assert kinds(hook) == ["postback"]


async def test_every_installed_app_gets_its_own_signature(harbour: Box, hook: Hook):
    await harbour.control(
        "POST",
        "/apps",
        {"app_id": "42", "app_secret": "other", "webhook_url": "http://else.test/{app_id}"},
    )
    await harbour.page(app_id="42", access_token="EAA42", subscribed_fields=["messages"])
    answer = await harbour.says("hello")
    assert [each["app_id"] for each in answer["webhooks"]] == [APP_ID, "42"]
    theirs = next(each for each in hook.requests if each.url.host == "else.test")
    assert theirs.url.path == "/42"
    digest = hmac.new(b"other", theirs.content, hashlib.sha256).hexdigest()
    assert theirs.headers["x-hub-signature-256"] == f"sha256={digest}"


async def test_a_sent_message_brings_echo_and_delivery(talking: Box, hook: Hook):
    mid = (await talking.send(message={"text": "Hi", "metadata": "msg_1.1"})).json()["message_id"]
    await hook.wait_for(2)

    echo, delivery = hook.items()
    assert (echo["sender"], echo["recipient"]) == ({"id": PAGE}, {"id": PSID})
    assert echo["message"] == {
        "mid": mid,
        "is_echo": True,
        "app_id": int(APP_ID),
        "metadata": "msg_1.1",
        "text": "Hi",
    }
    assert delivery["sender"] == {"id": PSID}
    assert delivery["delivery"] == {"mids": [mid], "watermark": echo["timestamp"]}


async def test_echo_of_template_and_media(talking: Box, hook: Hook):
    template = {
        "template_type": "button",
        "text": "?",
        "buttons": [{"type": "postback", "title": "Y", "payload": "Y"}],
    }
    await talking.send(message={"attachment": {"type": "template", "payload": template}})
    await talking.send(
        message={"attachment": {"type": "file", "payload": {"url": "https://f.test/a.pdf"}}}
    )
    await hook.wait_for(4)
    echoes = [item["message"]["attachments"] for item in hook.items() if "message" in item]
    assert echoes == [
        [{"title": "", "url": None, "type": "template", "payload": template}],
        [{"type": "file", "payload": {"url": "https://f.test/a.pdf"}}],
    ]


async def test_echoes_off(talking: Box, hook: Hook):
    await talking.control("POST", "/echoes", {"page_id": PAGE, "mode": "off"})
    await talking.send(message=TEXT)
    await talking.says("and now?")
    assert kinds(hook) == ["delivery", "message"]


async def test_delayed_echoes_come_by_the_sandboxs_clock(talking: Box, hook: Hook):
    await talking.control("POST", "/echoes", {"page_id": PAGE, "mode": "delay"})
    await talking.send(message=TEXT)
    await talking.says("and now?")
    assert kinds(hook) == ["delivery", "message"]
    await talking.advance(seconds=5)
    await hook.wait_for(3)
    assert kinds(hook) == ["delivery", "message", "echo"]


async def test_reordered_echoes_are_overtaken(talking: Box, hook: Hook):
    await talking.control("POST", "/echoes", {"page_id": PAGE, "mode": "reorder"})
    first = (await talking.send(message=TEXT)).json()["message_id"]
    second = (await talking.send(message=TEXT)).json()["message_id"]
    await hook.wait_for(3)
    await talking.advance(seconds=5)
    await hook.wait_for(4)
    echoes = [item["message"]["mid"] for item in hook.items() if "message" in item]
    assert echoes == [second, first]


async def test_read_marks_come_while_the_person_has_the_thread_open(talking: Box, hook: Hook):
    visitor = f"/pages/{PAGE}/visitors/{PSID}"
    await talking.send(message=TEXT)
    await hook.wait_for(2)
    assert "read" not in kinds(hook)

    await talking.control("POST", visitor, {"open": True})
    await hook.wait_for(3)
    said = (await talking.thread())["messages"][-1]
    assert hook.items()[-1]["read"]["watermark"] >= said["at"]
    assert said["tick"] == "read"

    await talking.send(message=TEXT)
    await hook.wait_for(6)
    assert kinds(hook)[3:] == ["echo", "delivery", "read"]
    await talking.control("POST", visitor, {"open": False})
    await talking.send(message=TEXT)
    await talking.says("and now?")
    assert kinds(hook)[6:] == ["echo", "delivery", "message"]


async def test_opening_the_chat_page_reads_what_is_there(talking: Box, hook: Hook):
    await talking.send(message=TEXT)
    await talking.client.get(f"/chat/{PAGE}?visitor={PSID}")
    await hook.wait_for(3)
    assert kinds(hook) == ["echo", "delivery", "read"]


async def test_webhooks_of_a_thread_wait_for_one_another(harbour: Box, hook: Hook):
    gate = asyncio.Event()

    async def slow(_request: httpx.Request) -> httpx.Response:
        await gate.wait()
        return httpx.Response(200)

    hook.then(slow)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(harbour.says(str(number))) for number in range(5)]
        await hook.wait_for(1)
        await harbour.says("elsewhere", psid="6666")
        assert [item["message"]["text"] for item in hook.items()] == ["0", "elsewhere"]
        gate.set()
    assert all(task.result()["status"] == 200 for task in tasks)
    texts = [item["message"]["text"] for item in hook.items()]
    assert texts == ["0", "elsewhere", "1", "2", "3", "4"]


class TestInstagram:
    IG = "17841400000000001"

    @pytest.fixture
    async def gram(self, harbour: Box, hook: Hook) -> Box:
        await harbour.page(instagram_id=self.IG)
        await harbour.says("hello", page=self.IG, psid="ig-1")
        return harbour

    async def test_webhooks_name_the_instagram_account(self, gram: Box, hook: Hook):
        (body,) = hook.bodies()
        assert body["object"] == "instagram"
        assert body["entry"][0]["id"] == self.IG
        assert body["entry"][0]["messaging"][0]["recipient"] == {"id": self.IG}

    async def test_echoes_come_with_messages_and_reads_name_the_message(self, gram, hook):
        hook.clear()
        await gram.control("POST", f"/pages/{self.IG}/visitors/ig-1", {"open": True})
        answer = await gram.send(psid="ig-1", message=TEXT)
        await hook.wait_for(2)
        assert kinds(hook) == ["echo", "read"]
        assert hook.items()[1]["read"] == {"mid": answer.json()["message_id"]}

    async def test_limits_and_codes_are_instagrams(self, gram: Box):
        long = await gram.send(psid="ig-1", message={"text": "x" * 1001})
        assert long.json()["error"]["code"] == 100
        await gram.advance(hours=25)
        closed = await gram.send(psid="ig-1", page=self.IG, message=TEXT)
        assert closed.json()["error"]["error_subcode"] == 2534022
