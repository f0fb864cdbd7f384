"""Everything else on Messenger: buttons, opt-ins, threads, the Page, and what has no type."""

from datetime import UTC, datetime, timedelta

from tests.support.bodies import ARRIVAL, EVENT_TIME
from tests.support.expectations.expected import NOWHERE, event, of_page, said, unrecognised

EARLIER = EVENT_TIME - timedelta(seconds=5)
BOOKED = {
    "id": "bk_1",
    "status": "confirmed",
    "starts_at": "2026-11-22T11:00:00.000Z",
    "ends_at": "2026-11-22T12:00:00.000Z",
    "time_zone": "Europe/London",
}

EVENTS = {
    "postback": [
        event("postback.received", {"id": "m_pb", "title": "Get started", "payload": "GET_STARTED"})
    ],
    "postback_without_mid": [event("postback.received", {"title": "Menu", "payload": "MENU"})],
    "postback_referral": [
        event(
            "postback.received",
            {
                "id": "m_pb",
                "title": "Get started",
                "payload": "GET_STARTED",
                "referral": {
                    "ref": "site",
                    "source": "CUSTOMER_CHAT_PLUGIN",
                    "type": "OPEN_THREAD",
                    "referer_uri": "https://example.com/",
                    "is_guest_user": True,
                },
            },
        )
    ],
    "postback_in_standby": [event("postback.received", {"title": "Menu"}, standby=True)],
    "optin_plugin": [event("optin.received", {"ref": "door"})],
    "optin_checkbox": [
        event("optin.received", {"ref": "door", "user_ref": "cb-77"}, contact_id="ref.cb-77")
    ],
    "optin_marketing": [
        event(
            "optin.received",
            {
                "type": "notification_messages",
                "payload": "MORE",
                "title": "Offers",
                "token": "tok_1",
                "token_expires_at": "2027-11-21T11:00:00.000Z",
                "token_status": "NOT_REFRESHED",
                "frequency": "WEEKLY",
                "time_zone": "Europe/London",
            },
        )
    ],
    "optin_one_time": [
        event(
            "optin.received",
            {"type": "one_time_notif_req", "payload": "BACK_IN_STOCK", "token": "tok_2"},
        )
    ],
    "optin_stopped": [
        event(
            "optout.received",
            {"type": "notification_messages", "token": "tok_1", "status": "STOP NOTIFICATIONS"},
        )
    ],
    "optin_resumed": [
        event(
            "optin.received",
            {"type": "notification_messages", "token": "tok_1", "status": "RESUME NOTIFICATIONS"},
        )
    ],
    "optout": [event("optout.received", {"type": "notification_messages", "payload": "ENOUGH"})],
    "referral_link": [
        event("referral.received", {"ref": "flyer", "source": "SHORTLINK", "type": "OPEN_THREAD"})
    ],
    "referral_lead": [
        event(
            "referral.received",
            {
                "source": "ADS",
                "type": "LEAD_COMPLETE",
                "ad_id": "6045246247433",
                "lead": [{"question": "Size?", "answer": "M"}, {"question": "When?"}],
            },
        )
    ],
    "pass_thread_control": [
        event(
            "thread_control.passed",
            {"new_owner_app_id": "400500600700800", "metadata": "over to you"},
        )
    ],
    "take_thread_control": [
        event(
            "thread_control.taken",
            {"previous_owner_app_id": "400500600700800", "metadata": "mine"},
        )
    ],
    "request_thread_control": [
        event("thread_control.requested", {"requested_owner_app_id": "263902037430900"})
    ],
    "app_roles": [
        of_page(
            "app_roles.changed",
            {
                "apps": [
                    {"app_id": "400500600700800", "roles": ["primary_receiver"]},
                    {"app_id": "1", "roles": []},
                ]
            },
        )
    ],
    "policy_warning": [
        of_page("policy.enforced", {"action": "warning", "reason": "Too many messages"})
    ],
    "policy_hyphen": [of_page("policy.enforced", {"action": "unblock"})],
    "account_linked": [
        event("account.linked", {"status": "linked", "authorization_code": "code_1"})
    ],
    "account_unlinked": [event("account.unlinked", {"status": "unlinked"})],
    "feedback_form": [
        event(
            "feedback.received",
            {
                "kind": "form",
                "screens": [
                    {
                        "id": "0",
                        "answers": [
                            {
                                "id": "q1",
                                "type": "csat",
                                "payload": "5",
                                "follow_up": {"type": "free_form", "payload": "quick"},
                            },
                            {"id": "q2", "type": "free_form", "payload": "thanks"},
                        ],
                    }
                ],
            },
        )
    ],
    "response_feedback": [
        event(
            "feedback.received",
            {"kind": "response", "message_id": "m_echo", "verdict": "Good response"},
        )
    ],
    "cart": [
        event(
            "order.received",
            {
                "products": [
                    {
                        "id": "301",
                        "retailer_id": "sku-1",
                        "name": "Mug",
                        "unit_price": "9.5",
                        "currency": "EUR",
                        "quantity": 2,
                    }
                ],
                "note": "gift",
            },
        )
    ],
    "appointment": [event("appointment.received", BOOKED)],
    "label": [event("label.changed", {"id": "55", "name": "vip", "action": "add"})],
    "comment": [
        of_page(
            "comment.received",
            {
                "id": "1_2",
                "field": "feed",
                "verb": "add",
                "text": "nice",
                "post_id": "1_1",
                "parent_id": "1_1",
                "author": {"id": "99", "name": "Ada"},
                "created_at": "2026-11-21T10:59:55.000Z",
            },
            at=EARLIER,
        )
    ],
    "post_on_feed": [
        of_page(
            "page.changed",
            {
                "field": "feed",
                "item": "post",
                "verb": "add",
                "value": {
                    "item": "post",
                    "verb": "add",
                    "post_id": "1_3",
                    "from": {"id": "106540352242922", "name": "Shop"},
                    "message": "new",
                    "created_time": 1795258795,
                },
            },
            at=EARLIER,
        )
    ],
    "rating": [
        of_page(
            "page.changed",
            {
                "field": "ratings",
                "item": "rating",
                "verb": "add",
                "value": {
                    "item": "rating",
                    "verb": "add",
                    "reviewer_id": "99",
                    "rating": 5,
                    "created_time": 1795258795,
                },
            },
            at=EARLIER,
        )
    ],
    "mention": [
        of_page(
            "page.changed",
            {
                "field": "mention",
                "item": "post",
                "verb": "add",
                "value": {"item": "post", "verb": "add", "post_id": "2_1", "sender_id": "99"},
            },
        )
    ],
    "unknown_field": [of_page("page.changed", {"field": "horoscope", "value": ["taurus"]})],
    "permission_granted": [
        of_page(
            "permission.changed",
            {"permission": "manage_fundraisers", "verb": "granted", "target_ids": ["123"]},
            kind="meta",
            source_id="0",
            at=datetime(2019, 9, 4, 22, 19, 48, tzinfo=UTC),
        )
    ],
    "permission_verb_beside": [
        of_page(
            "permission.changed",
            {
                "permission": "connected",
                "verb": "revoked",
                "target_ids": [],
                "user_id": "424242",
            },
            kind="meta",
            source_id="424242",
        )
    ],
    "lead_form": [unrecognised("lead", contact_id="-", at=EARLIER)],
    "lead_alone": [unrecognised("lead")],
    "payment": [unrecognised("payment")],
    "checkout": [unrecognised("checkout")],
    "game_play": [unrecognised("game-play")],
    "message_request": [unrecognised("message-request")],
    "unknown_kind": [unrecognised("unknown-kind")],
    "self_message": [unrecognised("contact-is-source", contact_id="-")],
    "documented_curl_test": [unrecognised("bad-field", "message", **NOWHERE)],
    "entry_missing": [unrecognised("entry-missing", **NOWHERE)],
    "other_object": [
        unrecognised("unknown-object", kind="meta", source_id="333", contact_id="-", at=ARRIVAL)
    ],
    "good_beside_bad": [
        said("good", mid="m_a"),
        unrecognised("item-not-an-object", "messaging", contact_id="-"),
        unrecognised("bad-field", "message.text"),
        said("good too", mid="m_c"),
        unrecognised("contact-missing", contact_id="-"),
    ],
    "changed_fields": [],
    "no_items": [],
    "empty_arrays": [],
    "no_entries": [],
}
