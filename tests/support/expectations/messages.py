"""Messages, echoes and what happens to messages, on Messenger."""

from dataclasses import replace

from tests.support.bodies import ARRIVAL, EVENT_TIME, PSID
from tests.support.expectations.expected import attached, echoed, event, said

BOOKED = {
    "id": "bk_1",
    "status": "requested",
    "starts_at": "2026-11-22T11:00:00.000Z",
    "ends_at": "2026-11-22T12:00:00.000Z",
    "time_zone": "Europe/London",
}
LINK = {"type": "fallback", "url": "https://example.com/", "title": "Example"}

MESSAGES = {
    "text": [said("hello, when do you open tomorrow?")],
    "quick_reply": [said("Yes", quick_reply_payload="CONFIRM")],
    "reply_to": [said("that one", reply_to={"message_id": "m_zero"})],
    "emoji_escaped": [said("grüße \U0001f44b\U0001f3fd <b> /")],
    "lone_surrogate_and_nul": [said("a\ufffdb\ufffdc \U0001f44b")],
    "image": [attached({"type": "image", "url": "https://cdn.example/i.jpg"})],
    "audio_video_file": [
        attached(
            {"type": "audio", "url": "https://cdn.example/a.mp4"},
            {"type": "video", "url": "https://cdn.example/v.mp4"},
            {"type": "file", "url": "https://cdn.example/f.pdf"},
        )
    ],
    "sticker": [
        attached(
            {
                "type": "sticker",
                "url": "https://cdn.example/s.png",
                "sticker_id": "369239263222822",
            }
        )
    ],
    "sticker_as_image": [
        attached(
            {"type": "image", "url": "https://cdn.example/s.png", "sticker_id": "369239263222822"}
        )
    ],
    "shared_link": [said("look https://example.com/", attachments=[LINK])],
    "shared_link_old_layout": [attached(LINK)],
    "fallback_without_payload": [attached({"type": "fallback"})],
    "location": [
        attached({"type": "location", "title": "Somewhere", "latitude": 12.34, "longitude": -43.21})
    ],
    "shared_product": [
        attached(
            {
                "type": "template",
                "payload": {
                    "product": {
                        "elements": [
                            {
                                "id": "301",
                                "retailer_id": "sku-1",
                                "image_url": "https://cdn.example/p.jpg",
                                "title": "Mug",
                                "subtitle": "€9",
                            }
                        ]
                    }
                },
            }
        )
    ],
    "reel_relative_url": [
        attached({"type": "reel", "url": "/reel/1234/", "title": "Cats", "video_id": "1234"})
    ],
    "post": [
        attached(
            {"type": "post", "url": "https://example.com/post", "title": "News", "post_id": "777"}
        )
    ],
    "appointment_attachment": [attached({"type": "appointment", "appointment": BOOKED})],
    "unknown_attachment": [attached({"type": "hologram", "payload": {"depth": 3}})],
    "no_attachments_in_array": [said("only words")],
    "message_without_mid": [said("no id", mid=None)],
    "message_without_content": [
        event("message.received", {"id": "m_one", "type": "unsupported", "attachments": []})
    ],
    "ad_referral": [
        said(
            "hi",
            referral={
                "ref": "spring",
                "source": "ADS",
                "type": "OPEN_THREAD",
                "ad_id": "6045246247433",
                "ad": {"ad_title": "Spring", "photo_url": "https://cdn.example/ad.jpg"},
            },
        )
    ],
    "product_referral": [said("is this there?", referral={"product_id": "301"})],
    "commands": [said("/flights", commands=["flights"])],
    "prior_message": [said("hi", prior_contact_id="ref.cb-77")],
    "user_ref_sender": [replace(said("hi"), contact_id="ref.cb-77")],
    "nlp_and_hop_context": [said("hi")],
    "numeric_ids": [said("hi")],
    "timestamp_in_seconds": [said("hi")],
    "timestamp_as_text": [said("hi")],
    "timestamp_in_the_future": [replace(said("hi"), at=ARRIVAL)],
    "timestamp_missing": [said("hi")],
    "echo_ours": [echoed("we open at nine", app_id="400500600700800", metadata="msg_01.1")],
    "echo_page_inbox": [echoed("typed by a person", app_id="263902037430900")],
    "echo_without_app_id": [echoed("long ago")],
    "echo_template": [
        event(
            "message.echoed",
            {
                "id": "m_echo",
                "type": "template",
                "attachments": [
                    {
                        "type": "template",
                        "payload": {
                            "template_type": "media",
                            "elements": [
                                {"media_type": "image", "attachment_id": 1854626884821032}
                            ],
                        },
                    }
                ],
                "app_id": "400500600700800",
            },
        )
    ],
    "echo_fallback": [
        event(
            "message.echoed",
            {
                "id": "m_echo",
                "type": "fallback",
                "attachments": [{"type": "fallback", "title": "Menu"}],
                "app_id": "1",
            },
        )
    ],
    "echo_without_entry_id": [echoed("hi", app_id="1")],
    "from_page_without_echo_mark": [echoed("not marked")],
    "edit": [
        event(
            "message.edited",
            {
                "message_id": "m_one",
                "by": "contact",
                "text": "hello, when do you close?",
                "edit_number": 2,
            },
        )
    ],
    "edit_numeric": [
        event(
            "message.edited",
            {"message_id": "m_one", "by": "contact", "text": "x", "edit_number": 3},
        )
    ],
    "delivery": [
        event(
            "message.delivered",
            {"message_ids": ["m_a", "m_b"], "watermark": "2026-11-21T10:59:59.000Z"},
        )
    ],
    "delivery_without_mids": [
        event("message.delivered", {"message_ids": [], "watermark": "2026-11-21T10:59:59.000Z"})
    ],
    "read": [event("message.read", {"watermark": "2026-11-21T10:59:59.500Z"})],
    "reaction": [
        event(
            "message.reacted",
            {
                "message_id": "m_echo",
                "action": "react",
                "by": "contact",
                "reaction": "love",
                "emoji": "❤️",
            },
        )
    ],
    "reaction_taken_off": [
        event("message.reacted", {"message_id": "m_echo", "action": "unreact", "by": "contact"})
    ],
    "reaction_of_page": [
        event(
            "message.reacted",
            {
                "message_id": "m_one",
                "action": "react",
                "by": "page",
                "reaction": "like",
                "emoji": "👍",
            },
        )
    ],
    "message_and_postback": [said("both")],
    "two_pages_four_contacts": [
        replace(said("hi", mid=f"m_{contact}"), contact_id=contact, source_id=page)
        for page, contact in (("1001", "11"), ("1001", "12"), ("1002", "21"), ("1002", "22"))
    ],
    "dashboard_test": [
        replace(
            said("test_message", "test_message_id", commands=["command123", "command456"]),
            source_id="23245",
            contact_id="12334",
            at=EVENT_TIME.replace(2018, 5, 27, 22, 23, 44),
        )
    ],
    "dashboard_test_standby": [
        replace(
            said("test_message", "test_message_id"),
            source_id="23245",
            contact_id="12334",
            at=EVENT_TIME.replace(2018, 5, 27, 22, 23, 44),
            standby=True,
        )
    ],
    "standby_and_messaging": [
        replace(said("one", mid="m_s1"), standby=True),
        replace(
            event(
                "message.echoed",
                {
                    "id": "m_s2",
                    "type": "text",
                    "attachments": [],
                    "text": "two",
                    "app_id": "9",
                },
            ),
            standby=True,
            contact_id=PSID,
        ),
        event(
            "message.delivered",
            {"message_ids": [], "watermark": "2026-11-21T11:00:00.000Z"},
            standby=True,
        ),
        event("message.read", {"watermark": "2026-11-21T11:00:00.000Z"}),
    ],
}
