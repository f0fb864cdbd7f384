"""What cannot be understood is kept, with a reason from a fixed set."""

import base64
from typing import Any

import pytest
from tests.support.bodies import ARRIVAL, EVENT_MS, PAGE, body_of, messaging_item, one_event, read

from gateway.meta.reading import MAX_ITEMS

MESSAGE = {"mid": "m_one", "text": "hi"}
ITEM = messaging_item(message=MESSAGE)


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        (b"", "syntax"),
        (b"   ", "syntax"),
        (b'{"object":"page"', "syntax"),
        (b"\xef\xbb\xbf{}", "syntax"),
        ("ä".encode("utf-16"), "encoding"),
        (b'{"a":NaN}', "number"),
        (b"[" * 100_000, "too-deep"),
        (b"[" + b"0," * 1_000_000 + b"0]", "too-many-values"),
        (b"null", "not-an-object"),
        (b'"page"', "not-an-object"),
        (b"1", "not-an-object"),
        (b"[]", "not-an-object"),
        (b'[{"object":"page","entry":[]}]', "not-an-object"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_body_that_is_no_json_object_is_one_event(raw, detail):
    event = one_event(raw)
    assert event.type == "gateway.item.unrecognised.v1"
    assert event.key == "meta:-:-"
    assert event.data == {"reason": "bad-json", "detail": detail, "encoding": "base64"}
    assert base64.b64decode(event.original) == raw
    assert event.occurred_at == ARRIVAL


def change(of: str = "page", **members: Any) -> dict[str, Any]:
    return body_of(members, array="changes", object_=of)


BODIES = {
    "entry is null": ({"object": "page", "entry": None}, "entry-not-an-array", "messenger:-:-"),
    "entry is an object": ({"object": "page", "entry": {}}, "entry-not-an-array", "messenger:-:-"),
    "no entry": ({"object": "instagram"}, "entry-missing", "instagram:-:-"),
    "nothing": ({}, "entry-missing", "meta:-:-"),
    "entry of text": ({"object": "page", "entry": ["x"]}, "entry-not-an-object", "messenger:-:-"),
    "entry of null": ({"object": "page", "entry": [None]}, "entry-not-an-object", "messenger:-:-"),
    "messaging is null": (
        {"object": "page", "entry": [{"id": "1", "messaging": None}]},
        "items-not-an-array",
        "messenger:1:-",
    ),
    "changes is an object": (
        {"object": "page", "entry": [{"id": "1", "changes": {"field": "feed"}}]},
        "items-not-an-array",
        "messenger:1:-",
    ),
    "an item is a number": (body_of(7), "item-not-an-object", f"messenger:{PAGE}:-"),
    "a change without field": (change(value=1), "field-missing", f"messenger:{PAGE}:-"),
    "a field is a number": (change(field=7), "field-missing", f"messenger:{PAGE}:-"),
    "feed without value": (change(field="feed"), "bad-field", f"messenger:{PAGE}:-"),
    "a comment without id": (
        change(field="feed", value={"item": "comment"}),
        "bad-field",
        f"messenger:{PAGE}:-",
    ),
    "a label of nobody": (
        change(field="inbox_labels", value={"label": {"id": 1}}),
        "bad-field",
        f"messenger:{PAGE}:-",
    ),
    "an item of a user": (body_of(ITEM, object_="user"), "unknown-object", f"meta:{PAGE}:-"),
    "an object of no text": (body_of(ITEM) | {"object": 7}, "unknown-object", f"meta:{PAGE}:-"),
    "a change of a user": (change("user", field="email"), "unknown-object", f"meta:{PAGE}:-"),
    "an item of permissions": (
        body_of(ITEM, object_="permissions"),
        "unknown-object",
        f"meta:{PAGE}:-",
    ),
    "a permission without name": (
        change("permissions", value={"verb": "granted"}),
        "field-missing",
        f"meta:{PAGE}:-",
    ),
    "a permission without verb": (
        change("permissions", field="email"),
        "bad-field",
        f"meta:{PAGE}:-",
    ),
}


@pytest.mark.parametrize("case", BODIES)
def test_a_bad_structure_is_kept_with_its_reason(case):
    body, reason, key = BODIES[case]
    event = one_event(body)
    assert event.type == "gateway.item.unrecognised.v1"
    assert (event.data["reason"], event.key) == (reason, key)


ITEMS: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "nobody": ({"message": MESSAGE, "sender": None}, "contact-missing", None),
    "a sender too long": (
        {"message": MESSAGE, "sender": {"id": "x" * 513}},
        "contact-missing",
        None,
    ),
    "a mid too long": ({"message": {"mid": "x" * 513}}, "id-too-long", "message.mid"),
    "a mid of the wrong type": ({"message": {"mid": 1.5}}, "bad-field", "message.mid"),
    "deleted, but which": ({"message": {"is_deleted": True}}, "bad-field", "message.mid"),
    "deleted, perhaps": ({"message": {"is_deleted": 1}}, "bad-field", "message.is_deleted"),
    "an attachment without type": (
        {"message": {"attachments": [{}]}},
        "bad-field",
        "message.attachments.type",
    ),
    "an attachment of text": (
        {"message": {"attachments": ["image"]}},
        "bad-field",
        "message.attachments",
    ),
    "an address of the wrong type": (
        {"message": {"attachments": [{"type": "image", "payload": {"url": 5}}]}},
        "bad-field",
        "message.attachments.payload.url",
    ),
    "an edit of nothing": ({"message_edit": {"text": "x"}}, "bad-field", "message_edit.mid"),
    "no marks": ({"delivery": {}}, "bad-field", "delivery.watermark"),
    "marks of the wrong type": (
        {"delivery": {"mids": [[]], "watermark": EVENT_MS}},
        "bad-field",
        "delivery.mids",
    ),
    "a watermark far ahead": (
        {"delivery": {"watermark": EVENT_MS + 10**9}},
        "bad-field",
        "delivery.watermark",
    ),
    "read, but what": ({"read": {}}, "bad-field", "read.watermark"),
    "read in 1969": ({"read": {"watermark": -5}}, "bad-field", "read.watermark"),
    "an unknown action": (
        {"reaction": {"mid": "m", "action": "smile"}},
        "bad-field",
        "reaction.action",
    ),
    "a reaction to nothing": ({"reaction": {"action": "react"}}, "bad-field", "reaction.mid"),
    "a payload of the wrong type": (
        {"postback": {"payload": {}}},
        "bad-field",
        "postback.payload",
    ),
    "linked or not": ({"account_linking": {}}, "bad-field", "account_linking.status"),
    "no action": ({"policy_enforcement": {}}, "bad-field", "policy_enforcement.action"),
    "roles of the wrong type": ({"app_roles": {"1": "x"}}, "bad-field", "app_roles"),
    "no verdict": ({"response_feedback": {"mid": "m"}}, "bad-field", "response_feedback.feedback"),
    "products of the wrong type": ({"order": {"products": {}}}, "bad-field", "order.products"),
}


@pytest.mark.parametrize("case", ITEMS)
def test_a_bad_item_is_kept_with_its_reason(case):
    members, reason, detail = ITEMS[case]
    item = messaging_item(**members)
    event = one_event(body_of(item))
    assert event.type == "gateway.item.unrecognised.v1"
    assert event.data == {"reason": reason} | ({} if detail is None else {"detail": detail})
    assert event.original == item


def test_an_item_that_belongs_nowhere_is_kept_with_its_reason():
    event = one_event(body_of(messaging_item(message=MESSAGE, recipient=None), id=None))
    assert (event.data["reason"], event.source_id) == ("source-missing", "-")


def test_a_thousand_entries_and_one_more_are_read():
    entry = body_of(messaging_item(message=MESSAGE))["entry"][0]
    for count in (1_000, 1_001):
        assert len(read({"object": "page", "entry": [entry] * count}).events) == count


def test_a_flood_of_items_is_one_event_that_keeps_them():
    most = body_of(*[{}] * MAX_ITEMS)
    assert len(read(most).events) == MAX_ITEMS
    flood = body_of(*[{}] * (MAX_ITEMS + 1))
    event = one_event(flood)
    assert event.data == {"reason": "too-many-items"}
    assert event.original == flood
    million = b'{"object":"page","entry":[%s]}' % b",".join(
        [b'{"messaging":[%s]}' % b",".join([b"{}"] * 1_000)] * 1_000
    )
    assert one_event(million).data["reason"] == "bad-json"


def test_one_mid_twice_in_a_batch_is_the_same_event_twice():
    item = messaging_item(message=MESSAGE)
    first, second = read(body_of(item, item)).events
    assert first == second


def test_the_last_of_repeated_keys_counts():
    raw = (
        b'{"object":"user","object":"page","entry":[{"id":"1","messaging":[{"sender":{"id":"2"},'
        b'"message":{"mid":"m_first","mid":"m_last","text":"x"}}]}]}'
    )
    event = one_event(raw)
    assert (event.kind, event.data["id"]) == ("messenger", "m_last")
