"""The same item is one event however often it comes; its nearest different neighbour is two."""

import copy
import json
from datetime import timedelta
from typing import Any

import pytest
from tests.support.bodies import (
    ARRIVAL,
    EVENT_MS,
    PAGE,
    PSID,
    body_of,
    messaging_item,
    one_event,
    payload,
    read,
)

from gateway.domain.ids import event_id


def id_of(body: Any, **changed: Any) -> str:
    return one_event(body, **changed).id


def changed(name, path, value):
    """Return a body of the catalogue with one value of its item changed; ... takes it out."""
    body = json.loads(payload(name))
    entry = body["entry"][0]
    array = next(key for key in ("messaging", "standby", "changes") if key in entry)
    *way, last = path.split(".")
    spot: Any = entry[array][0]
    for step in way:
        spot = spot[int(step)] if isinstance(spot, list) else spot[step]
    if value is ...:
        del spot[last]
    else:
        spot[last] = value
    return body


# For each row of the table: a body, what may differ without making another event of it, and what
# may not. Ids first, then what has none.
SAME = {
    "message, later text": ("messenger/text", "message.text", "edited by a proxy"),
    "message, later time": ("messenger/text", "timestamp", EVENT_MS + 1),
    "message, other sender": ("messenger/text", "sender.id", "1"),
    "message, id as a number": ("messenger/text", "sender.id", int(PSID)),
    "echo, other app": ("messenger/echo_ours", "message.app_id", 1),
    "edit, number as text": ("messenger/edit", "message_edit.num_edit", 2),
    "edit, time": ("messenger/edit", "timestamp", EVENT_MS + 1),
    "unsent, time": ("instagram/unsent", "timestamp", EVENT_MS + 1),
    "delivery, order of mids": ("messenger/delivery", "delivery.mids", ["m_a", "m_b"]),
    "delivery, watermark as text": ("messenger/delivery", "delivery.watermark", "1795258799000"),
    "delivery, time": ("messenger/delivery", "timestamp", EVENT_MS + 1),
    "read, time": ("messenger/read", "timestamp", EVENT_MS + 1),
    "seen, time": ("instagram/seen_by_mid", "timestamp", EVENT_MS + 1),
    "reaction, its name": ("messenger/reaction", "reaction.reaction", "like"),
    "postback, payload": ("messenger/postback", "postback.payload", "ELSE"),
    "postback without mid, title": ("messenger/postback_without_mid", "postback.title", "Else"),
    "postback without mid, number": ("messenger/postback_without_mid", "timestamp", EVENT_MS),
    "referral, id as a number": ("messenger/referral_link", "sender.id", int(PSID)),
    "comment, id as a number": ("messenger/comment", "value.from.id", 99),
}
DIFFERENT = {
    "message": ("messenger/text", "message.mid", "m_onf"),
    "message without mid, text": ("messenger/message_without_mid", "message.text", "no id!"),
    "message without mid, sender": ("messenger/message_without_mid", "sender.id", "1"),
    "message without mid, time": ("messenger/message_without_mid", "timestamp", EVENT_MS + 1),
    "message without mid, member": ("messenger/message_without_mid", "message.seq", 1),
    "message, now an echo": ("messenger/text", "message.is_echo", True),
    "echo": ("messenger/echo_ours", "message.mid", "m_echp"),
    "edit, mid": ("messenger/edit", "message_edit.mid", "m_onf"),
    "edit, number": ("messenger/edit", "message_edit.num_edit", "3"),
    "edit, text": ("messenger/edit", "message_edit.text", "hello, when do you close"),
    "edit, no text": ("messenger/edit", "message_edit.text", ...),
    "unsent": ("instagram/unsent", "message.mid", "aWdfZAG9"),
    "unsent, not the message": ("instagram/unsent", "message.is_deleted", False),
    "delivery, contact": ("messenger/delivery", "sender.id", "1"),
    "delivery, watermark": ("messenger/delivery", "delivery.watermark", EVENT_MS - 999),
    "delivery, mids": ("messenger/delivery", "delivery.mids", ["m_a"]),
    "delivery, no mids": ("messenger/delivery", "delivery.mids", ...),
    "read, contact": ("messenger/read", "sender.id", "1"),
    "read, watermark": ("messenger/read", "read.watermark", EVENT_MS - 499),
    "read, mid": ("instagram/seen_by_mid", "read.mid", "aWdfZAG9"),
    "reaction, mid": ("messenger/reaction", "reaction.mid", "m_other"),
    "reaction, sender": ("messenger/reaction", "sender.id", "1"),
    "reaction, action": ("messenger/reaction", "reaction.action", "unreact"),
    "reaction, emoji": ("messenger/reaction", "reaction.emoji", "❤"),
    "reaction, time": ("messenger/reaction", "timestamp", EVENT_MS + 1),
    "postback": ("messenger/postback", "postback.mid", "m_pc"),
    "postback without mid, sender": ("messenger/postback_without_mid", "sender.id", "1"),
    "postback without mid, time": ("messenger/postback_without_mid", "timestamp", EVENT_MS + 1),
    "postback without mid, payload": ("messenger/postback_without_mid", "postback.payload", "M"),
    "postback in standby, payload": ("messenger/postback_in_standby", "postback.payload", ""),
    "referral, sender": ("messenger/referral_link", "sender.id", "1"),
    "referral, time": ("messenger/referral_link", "timestamp", EVENT_MS + 1),
    "referral, item": ("messenger/referral_link", "referral.ref", "poster"),
    "opt-in": ("messenger/optin_marketing", "optin.payload", "LESS"),
    "opt-out": ("messenger/optin_stopped", "optin.notification_messages_token", "tok_3"),
    "pass": ("messenger/pass_thread_control", "pass_thread_control.metadata", "yours"),
    "take": ("messenger/take_thread_control", "timestamp", EVENT_MS + 1),
    "request": ("messenger/request_thread_control", "sender.id", "1"),
    "app roles": ("messenger/app_roles", "app_roles.1", ["secondary_receiver"]),
    "policy": ("messenger/policy_warning", "policy_enforcement.action", "block"),
    "policy, hyphen": ("messenger/policy_hyphen", "timestamp", EVENT_MS + 1),
    "linking": ("messenger/account_linked", "account_linking.authorization_code", "code_2"),
    "feedback": ("messenger/response_feedback", "response_feedback.feedback", "Bad response"),
    "order": ("messenger/cart", "order.note", "gifts"),
    "order, quantity": ("messenger/cart", "order.products.0.quantity", 3),
    "appointment": ("messenger/appointment", "appointment.status", "declined"),
    "payment": ("messenger/payment", "payment.payload", "Q"),
    "unknown kind": ("messenger/unknown_kind", "timestamp", EVENT_MS + 1),
    "comment, value": ("messenger/comment", "value.message", "nicer"),
    "label, value": ("messenger/label", "value.action", "remove"),
    "page change, value": ("messenger/rating", "value.rating", 4),
    "page change, field": ("messenger/rating", "field", "mention"),
    "permission, name": ("messenger/permission_granted", "field", "email"),
    "permission, verb beside": ("messenger/permission_verb_beside", "verb", "granted"),
    "permission, name beside": ("messenger/permission_verb_beside", "field", "email"),
}


@pytest.mark.parametrize("case", SAME)
def test_what_does_not_tell_events_apart_leaves_the_id(case):
    name, path, value = SAME[case]
    body = json.loads(payload(name))
    neighbour = changed(name, path, value)
    assert neighbour != body
    assert id_of(neighbour) == id_of(body)


@pytest.mark.parametrize("case", DIFFERENT)
def test_the_nearest_different_neighbour_has_another_id(case):
    name, path, value = DIFFERENT[case]
    assert id_of(changed(name, path, value)) != id_of(payload(name))


ONE_ITEM = sorted({name for name, _, _ in [*SAME.values(), *DIFFERENT.values()]})


@pytest.mark.parametrize("name", ONE_ITEM)
def test_the_same_item_has_the_same_id_however_it_comes(name):
    body = json.loads(payload(name))
    first = id_of(body)
    assert id_of(body, at=ARRIVAL + timedelta(hours=36)) == first
    # Escaped as Meta does, indented, its keys in another order.
    assert id_of(json.dumps(body, indent=3).encode()) == first
    assert id_of(reversed_keys(body)) == first
    # In a batch with others.
    batch = copy.deepcopy(body)
    batch["entry"] = [{"id": "1", "time": 1}, *batch["entry"] * 2]
    assert [event.id for event in read(batch).events] == [first, first]


@pytest.mark.parametrize("name", ONE_ITEM)
def test_app_and_source_tell_the_same_item_apart(name):
    body = json.loads(payload(name))
    elsewhere = copy.deepcopy(body)
    elsewhere["entry"][0]["id"] = "77"
    ids = {id_of(body), id_of(body, app="1"), id_of(elsewhere)}
    assert len(ids) == 3


def test_kind_and_standby_tell_the_same_item_apart():
    item = messaging_item(message={"mid": "m", "text": "x"})
    bodies = [
        body_of(item),
        body_of(item, array="standby"),
        body_of(item, object_="instagram"),
        body_of(item, object_="user"),
    ]
    assert len({id_of(body) for body in bodies}) == len(bodies)


def reversed_keys(value):
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return [reversed_keys(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", ["messenger/label", "messenger/mention", "instagram/comment"])
def test_a_change_without_a_time_of_its_own_is_told_by_that_of_the_entry(name):
    body = json.loads(payload(name))
    body["entry"][0]["time"] += 1
    assert id_of(body) != id_of(payload(name))


@pytest.mark.parametrize("name", ["messenger/comment", "messenger/rating"])
def test_a_change_with_a_time_of_its_own_is_not(name):
    body = json.loads(payload(name))
    body["entry"][0]["time"] += 1
    assert id_of(body) == id_of(payload(name))


def test_an_item_without_a_time_of_its_own_is_told_by_that_of_the_entry():
    body = json.loads(payload("messenger/feedback_form"))
    body["entry"][0]["time"] += 1
    assert id_of(body) != id_of(payload("messenger/feedback_form"))


@pytest.mark.parametrize("other", [b"{", b"", b" ", b"[]", b"null"])
def test_different_bodies_that_are_no_json_objects_are_different_events(other):
    assert id_of(b"{{") == id_of(b"{{")
    assert id_of(other) != id_of(b"{{")


def test_the_parts_of_an_id_are_those_of_the_interface():
    assert id_of(payload("messenger/text")) == event_id(
        ("400500600700800", "messenger", PAGE, "", "gateway.message.received.v1", "m_one")
    )
    assert id_of(payload("messenger/delivery")) == event_id(
        (
            "400500600700800",
            "messenger",
            PAGE,
            "",
            "gateway.message.delivered.v1",
            PSID,
            str(EVENT_MS - 1000),
            "m_a",
            "m_b",
        )
    )


GOLDEN = {
    "instagram/seen_by_mid": "evt_6ewk0bj2gsb50v0gn6405qpebh",
    "instagram/unsent": "evt_17fw2a14wtafabsqg2v2q53w0j",
    "messenger/account_linked": "evt_17smpmr3aka1nv2bb43q0b8zh3",
    "messenger/app_roles": "evt_5ty2zxj66sa769vfz4tpfbp2tg",
    "messenger/appointment": "evt_1q9gern56mb2qaymnr3mmns3e3",
    "messenger/cart": "evt_6tnb2mcjmfayabpeqeskqx5ca8",
    "messenger/comment": "evt_5a232mwhk8b7s83mf71hqjbs6g",
    "messenger/delivery": "evt_4rqn6vn5zmbb1bp1hawmt7m76s",
    "messenger/echo_ours": "evt_6zncxy54cwac2rqcvc3qshbxrm",
    "messenger/edit": "evt_6ec9nj1fhpagstvten50aemc60",
    "messenger/label": "evt_38ba9q2cscbvzb4t3s2syncfry",
    "messenger/message_without_mid": "evt_1tf7x2t9hnbq0aw9xrs0wgdstc",
    "messenger/optin_marketing": "evt_6h81qw8mftbynahy7br4a80w7j",
    "messenger/optin_stopped": "evt_4e1tq0e0y0bj9apcnaps05r4xn",
    "messenger/pass_thread_control": "evt_27wp173v5kay3v9whk5ctsdbp7",
    "messenger/payment": "evt_1qxzpvz10ta1gvbby7hvc55xkd",
    "messenger/permission_granted": "evt_7zqmgzr30paa4ah4h4kwa81zzy",
    "messenger/permission_verb_beside": "evt_3kaxn1pt1ram3a8cjdb8b6mr49",
    "messenger/policy_hyphen": "evt_1vj9avqc75ar6sqcg80e3czcnj",
    "messenger/policy_warning": "evt_5008jbsm15ay4vk5ejq79edzr2",
    "messenger/postback": "evt_2dac18r8qbaj8bnq665mcgs5cr",
    "messenger/postback_in_standby": "evt_3e6d28zad9b4rrekn1cmt4r1r4",
    "messenger/postback_without_mid": "evt_4b00f4zg1bayabskfhfa4035v4",
    "messenger/rating": "evt_7tafmdw9n2asa8g182wfnj4k8m",
    "messenger/reaction": "evt_2e0k15hc12bepr42qpxgywz45p",
    "messenger/read": "evt_7s09tf69zmb1hvge0rr308y1d1",
    "messenger/referral_link": "evt_682pghj5tyast93eb6rcy7wjrf",
    "messenger/request_thread_control": "evt_39h58bc2hsbfv9sjb0qchpx718",
    "messenger/response_feedback": "evt_0ge9rntrh1aj7svxy7mezxwccx",
    "messenger/take_thread_control": "evt_2far1hjye5asc8yct2s8d3syr7",
    "messenger/text": "evt_5kwh2tz99kakkrbjn7z4snzxg1",
    "messenger/unknown_kind": "evt_2p9b7pshqkahb8zqeqvw1hbqvy",
}


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_ids_are_frozen(name):
    """Another id would be a second effect of whatever Meta repeats during the roll-out."""
    assert id_of(payload(name)) == GOLDEN[name]


def test_there_is_a_frozen_id_for_every_row_of_the_table():
    assert sorted(GOLDEN) == ONE_ITEM
