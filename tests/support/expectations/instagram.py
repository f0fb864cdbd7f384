"""The same on Instagram, with what is different there."""

from tests.support.expectations.expected import Expected, event, of_page, on_instagram


def _message(type_: str, *attachments: dict[str, object], **more: object) -> Expected:
    data = {"id": "aWdfZAG1", "type": type_, "attachments": [*attachments]}
    return event("message.received", data | more)


_ON_INSTAGRAM = {
    "text": [_message("text", text="hi")],
    "echo": [
        event(
            "message.echoed", {"id": "aWdfZAG2", "type": "text", "attachments": [], "text": "hello"}
        )
    ],
    "unsent": [event("message.unsent", {"message_id": "aWdfZAG1", "by": "contact"})],
    "unsent_by_us": [event("message.unsent", {"message_id": "aWdfZAG2", "by": "page"})],
    "unsupported": [_message("unsupported")],
    "unsupported_attachment": [
        _message("unsupported", {"type": "unsupported", "url": "https://lookaside.example/x"})
    ],
    "story_reply": [
        _message(
            "text",
            text="lovely",
            reply_to={"story": {"id": "1789", "url": "https://cdn.example/story"}},
        )
    ],
    "story_mention": [
        _message(
            "story_mention",
            {"type": "story_mention", "url": "https://cdn.example/story"},
            is_story_mention=True,
        )
    ],
    "share": [_message("share", {"type": "share", "url": "https://cdn.example/share"})],
    "ig_reel": [
        _message(
            "reel",
            {
                "type": "reel",
                "url": "https://cdn.example/reel",
                "title": "Dogs",
                "video_id": "178",
            },
        )
    ],
    "ig_post": [
        _message(
            "post",
            {"type": "post", "url": "https://cdn.example/post", "title": "Cats", "post_id": "179"},
        )
    ],
    "ephemeral": [_message("ephemeral", {"type": "ephemeral"})],
    "like_heart": [_message("like_heart", {"type": "like_heart"})],
    "seen_by_mid": [event("message.read", {"message_id": "aWdfZAG2"})],
    "reaction": [
        event(
            "message.reacted",
            {
                "message_id": "aWdfZAG2",
                "action": "react",
                "by": "contact",
                "reaction": "love",
                "emoji": "❤",
            },
        )
    ],
    "edit": [
        event(
            "message.edited",
            {"message_id": "aWdfZAG1", "by": "contact", "text": "hi there", "edit_number": 1},
        )
    ],
    "ice_breaker": [
        event(
            "postback.received",
            {"id": "aWdfZAG3", "title": "Opening hours?", "payload": "HOURS"},
        )
    ],
    "referral": [
        event(
            "referral.received",
            {"ref": "bio", "source": "IGME-SOURCE-LINK", "type": "OPEN_THREAD"},
        )
    ],
    "handover": [
        event(
            "thread_control.passed",
            {
                "previous_owner_app_id": "1217981644879628",
                "new_owner_app_id": "400500600700800",
                "metadata": "m",
            },
        )
    ],
    "comment": [
        of_page(
            "comment.received",
            {
                "id": "1790",
                "field": "comments",
                "text": "wow",
                "post_id": "1788",
                "parent_id": "1789",
                "author": {"id": "5544332211009988", "name": "ada"},
            },
        )
    ],
    "live_comment": [
        of_page(
            "comment.received",
            {
                "id": "1791",
                "field": "live_comments",
                "text": "hi all",
                "post_id": "1788",
                "author": {"id": "5544332211009988", "name": "ada"},
            },
        )
    ],
    "comment_on_the_entry": [
        of_page(
            "comment.received",
            {
                "id": "1790",
                "field": "comments",
                "text": "wow",
                "post_id": "1788",
                "author": {"id": "5544332211009988", "name": "ada"},
            },
        )
    ],
    "mention": [
        of_page(
            "page.changed",
            {"field": "mentions", "value": {"media_id": "1788", "comment_id": "1792"}},
        )
    ],
    "message_in_changes": [
        event(
            "message.received",
            {
                "id": "aWdfZAG4",
                "type": "text",
                "attachments": [],
                "text": "from the dashboard",
            },
        )
    ],
}
INSTAGRAM_EVENTS = {
    name: [on_instagram(each) for each in expected] for name, expected in _ON_INSTAGRAM.items()
}
