"""What the catalogue cannot show of single kinds."""

import pytest
from tests.support.bodies import EVENT_MS, PAGE, body_of, messaging_item, one_event, read

from gateway.meta.recognise import kinds_of

KINDS_BY_RANK = [
    "message",
    "message_edit",
    "postback",
    "reaction",
    "delivery",
    "read",
    "referral",
    "optin",
    "optout",
    "pass_thread_control",
    "take_thread_control",
    "request_thread_control",
    "app_roles",
    "policy_enforcement",
    "policy-enforcement",
    "account_linking",
    "messaging_feedback",
    "response_feedback",
    "order",
    "appointment",
    "appointment_booking",
]


def test_of_several_kinds_the_first_by_rank_counts_wherever_it_stands():
    item = messaging_item(**dict.fromkeys(reversed(KINDS_BY_RANK), 5))
    for rank in range(len(KINDS_BY_RANK)):
        present = KINDS_BY_RANK[rank:]
        normalised = read(body_of(item))
        [event] = normalised.events
        # Each is of the wrong type, and the reason names the one that was looked at.
        assert event.data["detail"] == present[0].replace("-", "_").replace(
            "appointment_booking", "appointment"
        )
        assert normalised.oddities == ({"several-kinds": 1} if len(present) > 1 else {})
        del item[present[0]]


def test_a_kind_that_is_null_is_none():
    event = one_event(body_of(messaging_item() | {"message": None, "postback": {"mid": "m"}}))
    assert event.type == "gateway.postback.received.v1"


@pytest.mark.parametrize(
    "status", ["STOP NOTIFICATIONS", "STOP_NOTIFICATIONS", "stop notifications"]
)
def test_stopping_is_an_opt_out_however_it_is_spelt(status):
    item = messaging_item(optin={"notification_messages_status": status})
    event = one_event(body_of(item))
    assert (event.type, event.data) == ("gateway.optout.received.v1", {"status": status})


def test_the_order_in_which_mids_come_does_not_matter():
    mids = [f"m_{n}" for n in range(20)]
    events = [
        one_event(body_of(messaging_item(delivery={"mids": each, "watermark": EVENT_MS})))
        for each in (mids, mids[::-1], mids * 2)
    ]
    assert len({event.id for event in events}) == 1
    assert all(event.data["message_ids"] == sorted(mids) for event in events)


def test_what_no_database_takes_is_replaced_in_the_entry_too():
    item = messaging_item(message={"mid": "m\0", "text": "x"}, sender={"id": "p\ud800"})
    event = one_event(body_of(item, id="page\0", time="\0"))
    assert (event.source_id, event.contact_id, event.data["id"]) == (
        "page\ufffd",
        "p\ufffd",
        "m\ufffd",
    )
    permission = {"field": "email\0", "value": {"verb": "granted\0", "target_ids": ["\ud800"]}}
    body = body_of(permission, array="changes", object_="permissions", id="1\0", uid="2\0")
    event = one_event(body)
    assert event.source_id == "1\ufffd"
    assert event.data == {
        "permission": "email\ufffd",
        "verb": "granted\ufffd",
        "target_ids": ["\ufffd"],
        "user_id": "2\ufffd",
    }


def test_a_fault_of_ours_costs_one_item_and_no_more(monkeypatch):
    def broken(item, value):
        raise ZeroDivisionError

    monkeypatch.setitem(kinds_of.__globals__["_KINDS"], "read", broken)
    good = messaging_item(message={"mid": "m", "text": "x"})
    bad = messaging_item(read={"watermark": EVENT_MS})
    first, second, third = read(body_of(good, bad, good)).events
    assert first.data["id"] == third.data["id"] == "m"
    assert second.data == {"reason": "unexpected"}
    assert second.original == bad


def test_a_message_without_text_is_of_its_first_attachments_type():
    image = {"type": "image", "payload": {"url": "https://cdn.example/i.jpg"}}
    link = {"type": "fallback"}

    def type_of(**message):
        return one_event(body_of(messaging_item(message={"mid": "m", **message}))).data["type"]

    assert type_of(text="x", attachments=[image]) == "image"
    assert type_of(text="x", attachments=[link, image]) == "fallback"
    assert type_of(text="x", attachments=[link, link]) == "text"
    assert type_of(text="", attachments=[]) == "text"
    assert type_of(attachments=[link]) == "fallback"


def test_our_side_is_told_from_the_contact():
    ours = {"sender": {"id": PAGE}, "recipient": {"id": "77"}}
    edit = one_event(body_of(messaging_item(message_edit={"mid": "m"}, **ours)))
    assert (edit.contact_id, edit.data["by"]) == ("77", "page")
