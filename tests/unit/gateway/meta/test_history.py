"""Meta's conversations, read as the events that webhooks would have been."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from pydantic import SecretStr

from gateway.domain.channel import ChannelKind
from gateway.meta.graph import GraphClient, PageAccess
from gateway.meta.history import Source, missed_events, read_history
from gateway.sandbox.app import create_sandbox
from gateway.sandbox.settings import SandboxSettings

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SOURCE = Source(kind=ChannelKind.MESSENGER, source_id="104", page_id="104", meta_app_id="31")


def message(mid="m_1", *, by="74", minutes=0, text="Hello", **more):
    at = NOON + timedelta(minutes=minutes)
    raw = {"id": mid, "created_time": at.strftime("%Y-%m-%dT%H:%M:%S+0000"), "message": text}
    return raw | ({} if by is None else {"from": {"id": by}}) | more


def thread(*messages):
    return {
        "id": "t_1",
        "updated_time": "2026-03-02T12:00:00+0000",
        "participants": {"data": [{"id": "104"}, {"id": "74"}]},
        "messages": {"data": list(messages)},
    }


def events(*messages, since=NOON - timedelta(days=1)):
    (found,) = read_history({"data": [thread(*messages)]}, SOURCE).threads
    return [event for _, event in missed_events(found, SOURCE, since=since, now=NOON)]


def test_both_sides_come_oldest_first():
    found = events(
        message("m_3", minutes=-1, text="Still there?"),
        message("m_2", by="104", minutes=-2, text="Yes"),
        message("m_1", minutes=-3, text="Anybody?"),
    )
    assert [event.type.split(".")[2] for event in found] == ["received", "echoed", "received"]
    assert [event.data.get("answered", False) for event in found] == [True, False, False]
    assert {event.contact_id for event in found} == {"74"}
    assert all(event.data["backfilled"] for event in found)
    assert found[0].occurred_at == NOON - timedelta(minutes=3)


def test_a_message_in_the_second_of_an_answer_may_come_after_it():
    found = events(message("m_2", text="And?"), message("m_1", by="104", text="Yes"))
    assert [event.data.get("answered", False) for event in found] == [False, False]
    assert [event.data["text"] for event in found] == ["Yes", "And?"]


def test_what_is_too_old_or_not_shown_in_words_is_left_out():
    old, hidden = message(minutes=-60), message("m_2", by=None)
    assert events(old, hidden, since=NOON - timedelta(minutes=30)) == []


def test_an_event_is_the_same_whenever_it_is_read():
    picture = {"data": [{"image_data": {"url": "https://cdn.example/a?once"}}]}
    later = {"data": [{"image_data": {"url": "https://cdn.example/a?again"}}]}
    (first,) = events(message(text="", attachments=picture))
    (again,) = events(message(text="", attachments=later))
    assert first.id == again.id
    assert first.original_hash() == again.original_hash()
    # The contract's own reader takes it.
    headers = [(name, value) for name, value in first.headers()]
    assert type(first).from_record(headers, first.value()) == first


@pytest.mark.parametrize(
    ("raw", "attachment"),
    [
        ({"image_data": {"url": "https://c/a"}}, {"type": "image", "url": "https://c/a"}),
        ({"video_data": {"url": "https://c/a"}}, {"type": "video", "url": "https://c/a"}),
        (
            {"mime_type": "audio/mpeg", "file_url": "https://c/a"},
            {"type": "audio", "url": "https://c/a", "mime_type": "audio/mpeg"},
        ),
        (
            {"mime_type": "application/pdf", "file_url": "https://c/a"},
            {"type": "file", "url": "https://c/a", "mime_type": "application/pdf"},
        ),
        ({"name": "what"}, {"type": "unsupported"}),
    ],
    ids=["image", "video", "audio", "file", "other"],
)
def test_attachments_are_told_as_webhooks_tell_them(raw, attachment):
    (event,) = events(message(text="", attachments={"data": [raw]}))
    assert event.data["type"] == attachment["type"]
    assert event.data["attachments"] == [attachment]


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"data": None},
        {"data": [None, {}, {"participants": {"data": [{"id": "104"}]}}]},
        {"data": [thread(None, {}, {"id": 1}, {"id": "m", "created_time": "yesterday"})]},
    ],
    ids=["empty", "null", "no-contact", "odd-messages"],
)
def test_what_is_odd_is_left_out(document):
    page = read_history(document, SOURCE)
    assert [each for thread in page.threads for each in thread.messages] == []


def test_the_next_page_begins_where_meta_says():
    cursors = {"paging": {"cursors": {"after": "abc"}}}
    assert read_history({"data": [thread()], **cursors}, SOURCE).after == "abc"
    assert read_history({"data": [], **cursors}, SOURCE).after is None


async def test_the_sandbox_shows_conversations_as_meta_does():
    sandbox = create_sandbox(SandboxSettings(app_secret=SecretStr("app-secret")))
    transport = httpx.ASGITransport(app=sandbox)
    async with httpx.AsyncClient(transport=transport, base_url="https://graph.example") as client:
        page = {"page_id": "104", "name": "Acme", "access_token": "EAA104"}
        await client.post("/control/pages", json=page)
        for person in ("74", "75"):
            said = {"text": f"Hello from {person}"}
            await client.post(f"/control/pages/104/visitors/{person}/messages", json=said)
        token = {"Authorization": "Bearer EAA104"}
        body = {"recipient": {"id": "74"}, "message": {"text": "Hi"}, "messaging_type": "RESPONSE"}
        sent = (await client.post("/v26.0/104/messages", json=body, headers=token)).json()
        access = PageAccess(
            page_id="104",
            token=SecretStr("EAA104"),
            app_secret=SecretStr("app-secret"),
            version="v26.0",
        )
        graph = GraphClient(client, base_url="https://graph.example")
        budget = timedelta(seconds=5)
        shown = await graph.read_history(access, SOURCE, after=None, budget=budget)
        assert shown.after is not None
        last = await graph.read_history(access, SOURCE, after=shown.after, budget=budget)
    assert {thread.contact_id for thread in shown.threads} == {"74", "75"}
    (answered,) = [thread for thread in shown.threads if thread.contact_id == "74"]
    assert [(each.by_page, each.content["text"]) for each in answered.messages] == [
        (False, "Hello from 74"),
        (True, "Hi"),
    ]
    assert answered.messages[1].mid == sent["message_id"]
    assert (last.threads, last.after) == ((), None)
