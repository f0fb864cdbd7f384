from datetime import timedelta
from typing import Any

import pytest
from tests.support.api import pointers, problem
from tests.support.talk import set_state, wrote

from gateway.domain.conversation import WINDOW_CLOSED_SENTENCE
from gateway.errors import NotAssigneeError


def said(words="Hi", **more):
    return {"content": {"type": "text", "text": words}, **more}


@pytest.fixture
async def acme(api):
    return await api.account()


@pytest.fixture
async def messenger(api, acme):
    return await api.messenger(acme)


@pytest.fixture
async def talk(api, acme, messenger):
    return await wrote(api.database, acme.account_id, messenger["id"])


@pytest.fixture
def path(talk):
    return f"/v1/conversations/{talk[0]}"


async def test_a_message_is_accepted_into_its_lane(api, acme, path, talk):
    sent = await acme.post(f"{path}/messages", said(client_reference="order 17"))
    assert sent.status_code == 202, sent.text
    message = sent.json()
    assert message["status"] == "accepted"
    assert message["hold"] is None
    assert message["author"] == {"kind": "system", "id": None, "name": None}
    assert message["client_reference"] == "order 17"
    assert message["sequence"] == 2
    (delivery,) = await api.rows("SELECT * FROM deliveries")
    assert delivery["lane"] == talk[0]
    assert delivery["message_id"] == message["id"]
    assert delivery["traceparent"]
    (event,) = await api.events(types=("gateway.message.accepted.v1",))
    assert event[1]["message"]["id"] == message["id"]
    (row,) = await api.rows(
        "SELECT traceparent FROM events WHERE type = 'gateway.message.accepted.v1'"
    )
    assert row["traceparent"] == delivery["traceparent"]
    read = (await acme.get(f"/v1/messages/{message['id']}")).json()
    assert read["attempts"] == []
    listed = (await acme.get(f"{path}/messages")).json()["data"]
    assert [each["sequence"] for each in listed] == [1, 2]
    newest = await acme.get(f"{path}/messages", params={"order": "desc", "limit": 1})
    assert newest.json()["data"][0]["id"] == message["id"]
    rest = await acme.get(
        f"{path}/messages", params={"order": "desc", "cursor": newest.json()["next_cursor"]}
    )
    assert [each["sequence"] for each in rest.json()["data"]] == [1]
    by_time = await acme.get(f"{path}/messages", params={"order_by": "occurred_at"})
    assert len(by_time.json()["data"]) == 2


@pytest.mark.parametrize(
    ("seconds", "goes"), [(-1, True), (0, True), (1, False)], ids=["before", "at", "after"]
)
async def test_the_window_ends_24_hours_after_the_last_action(
    api, acme, path, clock, seconds, goes
):
    clock.advance(timedelta(hours=24, seconds=seconds))
    before = len((await api.sandbox.get("/control/journal")).json()["data"])
    sent = await acme.post(f"{path}/messages", said())
    window = (await acme.get(path)).json()["window"]
    assert window["open_until"] == "2026-03-03T12:00:00.000Z"
    if goes:
        assert sent.status_code == 202
        assert window["state"] == "open"
    else:
        refused = problem(sent, "messaging-window-closed", 409)
        assert refused["detail"] == WINDOW_CLOSED_SENTENCE
        assert window["state"] == "closed"
        assert await api.rows("SELECT 1 FROM deliveries") == []
    assert len((await api.sandbox.get("/control/journal")).json()["data"]) == before


async def test_an_agent_has_seven_days_where_the_page_may(api, acme, messenger, path, clock):
    agent = (await acme.post("/v1/agents", {"first_name": "Ann"})).json()
    tagged = said(author={"kind": "agent", "id": agent["id"]}, tag="HUMAN_AGENT")
    clock.advance(timedelta(days=2))
    problem(await acme.post(f"{path}/messages", tagged), "messaging-window-closed", 409)
    await acme.patch(f"/v1/channels/{messenger['id']}", {"human_agent": True})
    assert (await acme.get(path)).json()["window"]["state"] == "human_agent"
    assert (await acme.post(f"{path}/messages", tagged)).status_code == 202
    refused = await acme.post(f"{path}/messages", said(tag="HUMAN_AGENT"))
    assert pointers(problem(refused, "validation-failed", 422)) == ["/tag"]
    clock.advance(timedelta(days=5, seconds=1))
    problem(await acme.post(f"{path}/messages", tagged), "messaging-window-closed", 409)
    refused = await acme.post(
        f"{path}/messages", said(tag="ACCOUNT_UPDATE", author=tagged["author"])
    )
    problem(refused, "messaging-window-closed", 409)


async def test_refusals_come_in_their_order(api, acme, messenger, path, talk, clock):
    """Everything is wrong at first; each step mends what is told first."""
    _, contact_id, _ = talk
    clock.advance(timedelta(hours=25))
    await set_state(api.database, "contacts", contact_id, blocked_at=clock.now())
    await set_state(
        api.database,
        "conversations",
        talk[0],
        thread_owner="other_app",
        thread_owner_since=clock.now(),
    )
    bad = {"content": {"type": "text", "text": "x" * 2001}}
    mends: list[tuple[str, str, str, dict[str, Any]]] = [
        ("channel-deleted", "channels", messenger["id"], {"status": "suspended"}),
        ("channel-suspended", "channels", messenger["id"], {"status": "active"}),
        ("contact-blocked", "contacts", contact_id, {"blocked_at": None}),
        ("thread-owned-elsewhere", "conversations", talk[0], {"thread_owner": "idle"}),
        ("messaging-window-closed", "conversations", talk[0], {"last_action_at": clock.now()}),
    ]
    await set_state(api.database, "channels", messenger["id"], status="deleted")
    for slug, table, row_id, values in mends:
        problem(await acme.post(f"{path}/messages", bad), slug, 409)
        await set_state(api.database, table, row_id, **values)
    refused = problem(await acme.post(f"{path}/messages", bad), "text-too-long", 422)
    assert pointers(refused) == ["/content/text"]
    assert api.engagement.sends == []


@pytest.mark.parametrize(
    ("content", "pointer"),
    [
        ({"type": "text", "text": " \n"}, "/content/text"),
        ({"type": "text", "text": "a\u0000b"}, "/content/text"),
        ({"type": "text"}, "/content/text"),
        ({"type": "fax"}, "/content/type"),
        ("Hello", "/content"),
        ({"type": "image"}, "/content"),
        ({"type": "image", "url": "https://x.example/a.png", "media_id": "med_x"}, "/content"),
        ({"type": "image", "url": "javascript:alert(1)"}, "/content/url"),
        ({"type": "image", "media_id": "med_x"}, "/content/media_id"),
        (
            {"type": "text", "text": "?", "quick_replies": [{"title": str(n)} for n in range(14)]},
            "/content/quick_replies",
        ),
        (
            {"type": "text", "text": "?", "quick_replies": [{"title": "x" * 21}]},
            "/content/quick_replies/0/title",
        ),
        (
            {"type": "template", "template": {"template_type": "list"}},
            "/content/template/template_type",
        ),
        (
            {"type": "template", "template": {"template_type": "generic", "elements": []}},
            "/content/template/elements",
        ),
        (
            {
                "type": "template",
                "template": {
                    "template_type": "button",
                    "text": "Go",
                    "buttons": [{"type": "web_url", "title": "x", "url": "nowhere"}],
                },
            },
            "/content/template/buttons/0/url",
        ),
    ],
)
async def test_what_cannot_be_said_is_pointed_at(acme, path, content, pointer):
    refused = await acme.post(f"{path}/messages", {"content": content})
    assert pointers(problem(refused, "validation-failed", 422)) == [pointer]


async def test_templates_and_quick_replies_go_as_they_are(acme, path):
    template = {
        "template_type": "generic",
        "elements": [
            {"title": "A", "buttons": [{"type": "postback", "title": "Buy", "payload": "A"}]}
        ],
    }
    sent = await acme.post(
        f"{path}/messages", {"content": {"type": "template", "template": template}}
    )
    assert sent.json()["content"] == {"type": "template", "template": template}
    asked = {"type": "text", "text": "Yes?", "quick_replies": [{"title": "Yes", "payload": "y"}]}
    sent = await acme.post(f"{path}/messages", {"content": asked})
    assert sent.json()["content"]["quick_replies"] == [
        {"content_type": "text", "title": "Yes", "payload": "y"}
    ]


async def test_a_long_text_goes_in_parts_when_asked(acme, path, talk):
    words = "word " * 1000
    refused = await acme.post(f"{path}/messages", said(words))
    problem(refused, "text-too-long", 422)
    whole = said(words, split=True, client_reference="r", reply_to=talk[2])
    sent = await acme.post(f"{path}/messages", whole)
    assert sent.status_code == 202
    parts = sent.json()["parts"]
    assert parts[0] == sent.json()["id"]
    listed = (await acme.get(f"{path}/messages")).json()["data"][1:]
    assert [each["id"] for each in listed] == parts
    assert " ".join(each["content"]["text"] for each in listed) == words.strip()
    assert {each["client_reference"] for each in listed} == {"r"}
    assert all(len(each["content"]["text"]) <= 2000 for each in listed)
    assert [each["reply_to"] for each in listed] == [talk[2], None, None]
    endless = await acme.post(f"{path}/messages", said("x" * 200_001, split=True))
    assert pointers(problem(endless, "text-too-long", 422)) == ["/content/text"]


async def test_messages_of_a_channel_that_cannot_send_wait(api, acme, messenger, path):
    await acme.post(f"/v1/channels/{messenger['id']}/disconnect")
    sent = await acme.post(f"{path}/messages", said())
    assert sent.status_code == 202
    assert sent.json()["hold"] == {"reason": "token_expired"}
    (delivery,) = await api.rows("SELECT due_at FROM deliveries")
    assert delivery["due_at"] is None
    page = messenger["source"]["page_id"]
    await acme.patch(
        f"/v1/channels/{messenger['id']}", {"source": {"page_access_token": f"EAA{page}"}}
    )
    (delivery,) = await api.rows("SELECT due_at FROM deliveries")
    assert delivery["due_at"] is not None


async def test_an_agents_answer_engages_the_enquiry(api, acme, path, talk):
    agent = (await acme.post("/v1/agents", {"first_name": "Ann", "last_name": "Lee"})).json()
    author = {"kind": "agent", "id": agent["id"]}
    api.engagement.enquiry_id = "enq_1"
    sent = await acme.post(f"{path}/messages", said(author=author, takeover=True))
    assert sent.json()["author"] == {**author, "name": "Ann Lee"}
    assert sent.json()["enquiry_id"] == "enq_1"
    assert api.engagement.sends == [(talk[0], "agent", agent["id"], True)]
    api.engagement.refusal = NotAssigneeError("Another agent has it.", extra={"agent_id": "agt_2"})
    refused = problem(await acme.post(f"{path}/messages", said(author=author)), "not-assignee", 409)
    assert refused["agent_id"] == "agt_2"
    unknown = await acme.post(f"{path}/messages", said(author={"kind": "agent", "id": "agt_x"}))
    assert pointers(problem(unknown, "validation-failed", 422)) == ["/author/id"]


async def test_who_has_the_thread_decides_who_may_write(api, acme, path, talk, clock):
    async def thread(owner):
        await set_state(
            api.database,
            "conversations",
            talk[0],
            thread_owner=owner,
            thread_owner_since=clock.now(),
        )

    await thread("other_app")
    problem(await acme.post(f"{path}/messages", said()), "thread-owned-elsewhere", 409)
    assert (await acme.post(f"{path}/messages", said(take_thread=True))).status_code == 202
    assert (await acme.get(path)).json()["thread_owner"] == "us"
    await thread("page_inbox")
    assert (await acme.post(f"{path}/messages", said())).status_code == 202
    assert (await acme.get(path)).json()["thread_owner"] == "page_inbox"
    robot = said(author={"kind": "bot"})
    problem(await acme.post(f"{path}/messages", robot), "thread-owned-elsewhere", 409)
    agent = (await acme.post("/v1/agents", {"first_name": "Ann"})).json()
    await acme.post(f"{path}/messages", said(author={"kind": "agent", "id": agent["id"]}))
    assert (await acme.get(path)).json()["thread_owner"] == "us"
    changed = await api.events(types=("gateway.conversation.thread_changed.v1",))
    assert [data["previous_owner"] for _, data in changed] == ["other_app", "page_inbox"]
    await thread("other_app")
    clock.advance(timedelta(hours=24))
    assert (await acme.get(path)).json()["thread_owner"] == "idle"


async def test_a_third_party_channel_reaches_people_by_its_own_ids(api, acme):
    channel = await api.third_party(acme)
    path = f"/v1/channels/{channel['id']}/messages"
    sent = await acme.post(path, said(recipient={"source_contact_id": "u-1"}))
    assert sent.status_code == 202, sent.text
    again = await acme.post(path, said(recipient={"source_contact_id": "u-1"}))
    assert again.json()["conversation_id"] == sent.json()["conversation_id"]
    conversation = (await acme.get(f"/v1/conversations/{sent.json()['conversation_id']}")).json()
    assert conversation["window"] == {
        "state": "open",
        "open_until": None,
        "human_agent_until": None,
    }
    by_contact = said(recipient={"contact_id": conversation["contact"]["id"]})
    assert (await acme.post(path, by_contact)).status_code == 202
    for recipient, pointer in [
        ({}, "/recipient"),
        ({"contact_id": "con_x", "source_contact_id": "u"}, "/recipient"),
        ({"contact_id": "con_x"}, "/recipient/contact_id"),
        ({"comment_id": "1_2"}, "/recipient/comment_id"),
    ]:
        answer = await acme.post(path, said(recipient=recipient))
        assert answer.status_code == 422
        assert pointers(answer.json()) == [pointer]


async def test_a_third_party_takes_messages_alone(api, acme):
    channel = await api.third_party(acme)
    conversation_id, _, message_id = await wrote(api.database, acme.account_id, channel["id"])
    path = f"/v1/conversations/{conversation_id}"
    agent = (await acme.post("/v1/agents", {"first_name": "Ann"})).json()
    buttons = [{"type": "account_unlink"}]
    template = {"template_type": "button", "text": "Out?", "buttons": buttons}
    for where, body, pointer in [
        (f"{path}/messages", {"content": {"type": "template", "template": template}}, "/content"),
        (f"{path}/messages", said(persona_id="17"), "/persona_id"),
        (f"{path}/messages", said(take_thread=True), "/take_thread"),
        (
            f"{path}/messages",
            said(tag="HUMAN_AGENT", author={"kind": "agent", "id": agent["id"]}),
            "/tag",
        ),
        (f"{path}/actions", {"action": "typing_on"}, "/action"),
        (f"/v1/messages/{message_id}/reactions", {"reaction": "love"}, "/reaction"),
    ]:
        refused = problem(await acme.post(where, body), "not-supported-by-channel", 422)
        assert [found.removesuffix("/type") for found in pointers(refused)] == [pointer]
    replies = [{"title": "Yes", "payload": "YES"}]
    asked = {"type": "text", "text": "Well?", "quick_replies": replies}
    assert (await acme.post(f"{path}/messages", {"content": asked})).status_code == 202
    assert len(await api.rows("SELECT 1 FROM deliveries")) == 1


async def test_what_the_contact_does_not_have_cannot_be_answered(api, acme, path, talk):
    ours = (await acme.post(f"{path}/messages", said())).json()["id"]
    await set_state(api.database, "messages", ours, status="failed")
    await set_state(api.database, "messages", talk[2], unsent_at=api.clock.now())
    for message_id in (ours, talk[2], "msg_x"):
        refused = await acme.post(f"{path}/messages", said(reply_to=message_id))
        assert pointers(problem(refused, "validation-failed", 422)) == ["/reply_to"]


async def test_a_page_reaches_only_who_wrote(acme, messenger):
    path = f"/v1/channels/{messenger['id']}/messages"
    unknown = await acme.post(path, said(recipient={"source_contact_id": "stranger"}))
    assert pointers(problem(unknown, "validation-failed", 422)) == ["/recipient/source_contact_id"]


async def test_a_message_cannot_be_recalled(acme, path):
    sent = (await acme.post(f"{path}/messages", said())).json()
    refused = await acme.delete(f"/v1/messages/{sent['id']}")
    assert "Send another one" in problem(refused, "recall-not-supported", 405)["detail"]
    assert refused.headers["allow"] == "GET"
    problem(await acme.delete("/v1/messages/msg_x"), "not-found", 404)


async def test_typing_and_reactions_are_asked_for_once(api, acme, path, talk):
    shown = await acme.post(f"{path}/actions", {"action": "typing_on"})
    assert shown.status_code == 200
    assert shown.json()["id"] == talk[0]
    reacted = await acme.post(f"/v1/messages/{talk[2]}/reactions", {"reaction": "love"})
    assert reacted.status_code == 202
    taken = await acme.post(f"/v1/messages/{talk[2]}/reactions", {"reaction": None})
    assert taken.status_code == 202
    payloads = [
        row["payload"] for row in await api.rows("SELECT payload FROM deliveries ORDER BY ordinal")
    ]
    assert [payload["action"] for payload in payloads] == ["typing_on", "react", "unreact"]
    assert payloads[1]["reaction"] == "love"
    nameless = await acme.post(f"/v1/messages/{talk[2]}/reactions", {"reaction": "banana"})
    assert pointers(problem(nameless, "validation-failed", 422)) == ["/reaction"]
    ours = (await acme.post(f"{path}/messages", said())).json()
    refused = await acme.post(f"/v1/messages/{ours['id']}/reactions", {"reaction": "love"})
    problem(refused, "conflict", 409)


async def test_a_third_party_takes_no_actions(api, acme):
    channel = await api.third_party(acme)
    conversation_id, _, _ = await wrote(api.database, acme.account_id, channel["id"])
    refused = await acme.post(
        f"/v1/conversations/{conversation_id}/actions", {"action": "mark_seen"}
    )
    problem(refused, "not-supported-by-channel", 422)


async def test_a_failed_message_is_sent_again_at_the_end(api, acme, path):
    sent = (await acme.post(f"{path}/messages", said())).json()
    refused = problem(
        await acme.post(f"/v1/messages/{sent['id']}/resend"), "illegal-transition", 409
    )
    assert refused["state"] == "accepted"
    await set_state(api.database, "messages", sent["id"], status="failed")
    await api.rows("UPDATE deliveries SET status = 'failed', holds_lane = false")
    again = await acme.post(f"/v1/messages/{sent['id']}/resend")
    assert again.status_code == 202, again.text
    assert again.json()["status"] == "accepted"
    assert again.json()["possibly_duplicate"] is True
    assert again.json()["sequence"] > sent["sequence"]


async def test_an_uncertain_message_that_meta_shows_is_not_sent_again(api, acme, messenger, clock):
    """The sandbox has the message: its conversation is asked before anything is sent."""
    page = messenger["source"]["page_id"]
    await api.sandbox.post(f"/control/pages/{page}/visitors/psid1/messages", json={"text": "Hello"})
    token = {"Authorization": f"Bearer EAA{page}"}
    body = {"recipient": {"id": "psid1"}, "message": {"text": "Hi"}, "messaging_type": "RESPONSE"}
    done = await api.sandbox.post(f"/v26.0/{page}/messages", json=body, headers=token)
    assert done.status_code == 200, done.text
    conversation_id, _, _ = await wrote(api.database, acme.account_id, messenger["id"], "psid1")
    sent = (await acme.post(f"/v1/conversations/{conversation_id}/messages", said())).json()
    other = (await acme.post(f"/v1/conversations/{conversation_id}/messages", said("Bye"))).json()
    for message in (sent, other):
        await set_state(api.database, "messages", message["id"], status="uncertain")
    await api.rows("UPDATE deliveries SET status = 'uncertain', attempt = 1")
    shown = await acme.post(f"/v1/messages/{sent['id']}/resend")
    assert shown.status_code == 200, shown.text
    assert shown.json()["status"] == "sent"
    assert shown.json()["source_message_id"] == done.json()["message_id"]
    fault = {"call": "conversations", "count": 2, "mode": "error", "status": 503}
    await api.sandbox.post("/control/faults", json=fault)
    problem(await acme.post(f"/v1/messages/{other['id']}/resend"), "upstream-failed", 502)
    await api.sandbox.request("DELETE", "/control/faults")
    again = await acme.post(f"/v1/messages/{other['id']}/resend")
    assert again.status_code == 202
    assert again.json()["possibly_duplicate"] is True


async def test_a_failed_message_that_meta_shows_is_not_sent_again(api, acme, messenger):
    """Each of its calls was refused, and yet Meta has it."""
    page = messenger["source"]["page_id"]
    await api.sandbox.post(f"/control/pages/{page}/visitors/psid1/messages", json={"text": "Hello"})
    conversation_id, _, _ = await wrote(api.database, acme.account_id, messenger["id"], "psid1")
    path = f"/v1/conversations/{conversation_id}/messages"
    there, absent = [(await acme.post(path, said(words))).json() for words in ("Hi", "Bye")]
    body = {"recipient": {"id": "psid1"}, "message": {"text": "Hi"}, "messaging_type": "RESPONSE"}
    token = {"Authorization": f"Bearer EAA{page}"}
    done = await api.sandbox.post(f"/v26.0/{page}/messages", json=body, headers=token)
    for message in (there, absent):
        await set_state(api.database, "messages", message["id"], status="failed")
    await api.rows(
        "INSERT INTO delivery_attempts (delivery_id, attempt, account_id, at, milliseconds,"
        " outcome) SELECT id, 1, account_id, now(), 5, 'refused' FROM deliveries"
    )
    await api.rows("UPDATE deliveries SET status = 'failed', holds_lane = false, attempt = 1")
    shown = await acme.post(f"/v1/messages/{there['id']}/resend")
    assert shown.status_code == 200, shown.text
    assert shown.json()["source_message_id"] == done.json()["message_id"]
    again = await acme.post(f"/v1/messages/{absent['id']}/resend")
    assert again.status_code == 202, again.text
    # What a person decides does not hang on Meta's answer where a call is known to have failed.
    await set_state(api.database, "messages", absent["id"], status="failed")
    fault = {"call": "conversations", "count": 2, "mode": "error", "status": 503}
    await api.sandbox.post("/control/faults", json=fault)
    assert (await acme.post(f"/v1/messages/{absent['id']}/resend")).status_code == 202


async def test_blocking_keeps_a_contact_quiet(api, acme, messenger, path, talk):
    _, contact_id, _ = talk
    blocked = await acme.post(f"/v1/contacts/{contact_id}/block")
    assert blocked.status_code == 200
    assert blocked.json()["blocked"] is True
    problem(await acme.post(f"{path}/messages", said()), "contact-blocked", 409)
    await acme.post(f"/v1/contacts/{contact_id}/block")
    listed = await acme.get("/v1/contacts", params={"blocked": True})
    assert [each["id"] for each in listed.json()["data"]] == [contact_id]
    assert (await acme.post(f"/v1/contacts/{contact_id}/unblock")).json()["blocked"] is False
    kinds = [kind for kind, _ in await api.events() if ".contact." in kind]
    assert kinds[1:] == ["gateway.contact.blocked.v1", "gateway.contact.unblocked.v1"]
    await acme.delete(f"/v1/channels/{messenger['id']}")
    problem(await acme.post(f"/v1/contacts/{contact_id}/block"), "channel-deleted", 409)


async def test_a_contact_is_patched(acme, talk):
    path = f"/v1/contacts/{talk[1]}"
    changed = await acme.patch(path, {"name": "Ann", "attributes": {"tier": {"level": 2}}})
    assert changed.status_code == 200, changed.text
    changed = await acme.patch(
        path, {"attributes": {"tier": {"since": 2020}}, "email": "ann@example.org"}
    )
    assert changed.json()["attributes"] == {"tier": {"level": 2, "since": 2020}}
    refused = await acme.patch(path, {"email": "nobody", "blocked": True})
    assert sorted(pointers(problem(refused, "validation-failed", 422))) == ["/blocked", "/email"]
    found = await acme.get("/v1/contacts", params={"search": "ANN"})
    assert [each["id"] for each in found.json()["data"]] == [talk[1]]


async def test_conversations_are_listed_by_what_was_said_last(api, acme, messenger, clock):
    names = ["a", "b", "c"]
    for name in names:
        clock.advance(timedelta(minutes=1))
        await wrote(api.database, acme.account_id, messenger["id"], name)
    clock.advance(timedelta(minutes=1))
    await wrote(api.database, acme.account_id, messenger["id"], "a")
    seen, cursor = [], None
    while True:
        params = {"limit": 2, "channel_id": messenger["id"]} | (
            {"cursor": cursor} if cursor else {}
        )
        page = (await acme.get("/v1/conversations", params=params)).json()
        seen += [each["contact"]["source_contact_id"] for each in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ["a", "c", "b"]
