"""The Send API: `POST /{page}/messages`."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.sandbox.access import PageCaller, caller_for_node
from gateway.sandbox.attachments import settle_media
from gateway.sandbox.calls import Call
from gateway.sandbox.comments import commenter
from gateway.sandbox.content import read_content
from gateway.sandbox.errors import GraphError, invalid_parameter
from gateway.sandbox.platform import Platform
from gateway.sandbox.threads import Thread
from gateway.sandbox.world import Comment, Page

MESSAGING_TYPES: Final = frozenset({"RESPONSE", "UPDATE", "MESSAGE_TAG", "UTILITY"})
NOTIFICATION_TYPES: Final = frozenset({"REGULAR", "SILENT_PUSH", "NO_PUSH"})
SENDER_ACTIONS: Final = frozenset({"typing_on", "typing_off", "mark_seen", "react", "unreact"})
HUMAN_AGENT: Final = "HUMAN_AGENT"
NEWS: Final = "NON_PROMOTIONAL_SUBSCRIPTION"
# Refused since 27 April 2026.
DEAD_TAGS: Final = frozenset({"CONFIRMED_EVENT_UPDATE", "ACCOUNT_UPDATE", "POST_PURCHASE_UPDATE"})
EMOJI: Final[Mapping[str, str]] = {
    "love": "❤",
    "smile": "😆",
    "wow": "😮",
    "sad": "😢",
    "angry": "😠",
    "like": "👍",
    "dislike": "👎",
}


def send(platform: Platform, call: Call) -> Mapping[str, Any]:
    """Send a message or a sender action; raises GraphError with Meta's code for what is refused.

    Answers `{"recipient_id", "message_id"}`, to a sender action `{"recipient_id"}`.
    """
    caller = caller_for_node(platform.world, platform.timeline, call)
    caller.needs(
        "pages_messaging",
        code=230,
        message="(#230) Requires pages_messaging permission to manage the object",
    )
    _check_page(caller.page)
    message, action = call.mapping("message"), call.text("sender_action")
    if message is not None and action is not None:
        raise GraphError(100, 2018014)
    if message is None and action is None:
        raise GraphError(100, 2018015)
    if action is not None:
        return _act(platform, caller, call, action)
    return _send_message(platform, caller, call, message or {})


def _check_page(page: Page) -> None:
    if page.restricted:
        raise GraphError(10, 1893063)
    if not page.messages_allowed:
        raise GraphError(200, 2534041)


def _send_message(
    platform: Platform, caller: PageCaller, call: Call, message: Mapping[str, Any]
) -> Mapping[str, Any]:
    tag = _tag(call)
    thread, comment = _addressee(platform, caller.page, call)
    content = read_content(message, instagram=thread.instagram, uploaded=call.upload is not None)
    reply_to, persona_id = _reply_to(call, thread), _persona(call, caller.page)
    _check_control(platform, caller, thread)
    if comment is None:
        _check_window(platform, caller.page, thread, tag)
    content, attachment_id = settle_media(platform, caller.page, content, call)
    if comment is not None:
        comment.replied = True
    said = platform.exchange.from_page(
        caller.page,
        thread,
        content,
        app_id=caller.app.app_id,
        reply_to=reply_to,
        persona_id=persona_id,
    )
    answer = {"recipient_id": thread.psid, "message_id": said.mid}
    if attachment_id is not None:
        answer["attachment_id"] = attachment_id
    return answer


def _tag(call: Call) -> str | None:
    """Return the message tag; raises GraphError for one that is unknown or no longer accepted."""
    kind, tag, notification = (
        call.text(name) for name in ("messaging_type", "tag", "notification_type")
    )
    if kind is not None and kind not in MESSAGING_TYPES:
        raise invalid_parameter("messaging_type", "must be RESPONSE, UPDATE or MESSAGE_TAG")
    if notification is not None and notification not in NOTIFICATION_TYPES:
        raise invalid_parameter("notification_type", "must be REGULAR, SILENT_PUSH or NO_PUSH")
    if kind == "MESSAGE_TAG" and tag is None:
        raise GraphError(100, message="(#100) The parameter tag is required")
    if tag in DEAD_TAGS:
        raise GraphError(100, 1893061)
    if tag not in (None, HUMAN_AGENT, NEWS):
        raise invalid_parameter("tag", "must be a message tag")
    return tag


def _addressee(platform: Platform, page: Page, call: Call) -> tuple[Thread, Comment | None]:
    """Return whom a message is for, and the comment that it answers privately, if it does."""
    recipient = call.mapping("recipient") or {}
    if set(recipient) == {"comment_id"}:
        now = platform.timeline.millis()
        return commenter(platform.world, page, str(recipient["comment_id"]), now=now)
    return _recipient(platform, page, call), None


def _recipient(platform: Platform, page: Page, call: Call) -> Thread:
    recipient = call.mapping("recipient")
    if not recipient:
        raise GraphError(100, message="(#100) The parameter recipient is required")
    psid = recipient.get("id")
    if len(recipient) > 1:
        raise invalid_parameter("recipient", "must name exactly one recipient")
    # A person is known by an id here alone: the sandbox has no plugins.
    thread = platform.world.thread_of(page, str(psid)) if psid else None
    if thread is None:
        raise GraphError(100, 2018001)
    if thread.blocked:
        raise GraphError(551, 1545041)
    return thread


def _reply_to(call: Call, thread: Thread) -> str | None:
    reply_to = call.mapping("reply_to")
    if reply_to is None:
        return None
    mid = reply_to.get("mid")
    if not isinstance(mid, str) or mid not in thread.utterances:
        raise invalid_parameter("reply_to[mid]", "must be the id of a message of this thread")
    return mid


def _persona(call: Call, page: Page) -> str | None:
    persona_id = call.text("persona_id")
    if persona_id is not None and persona_id not in page.personas:
        raise invalid_parameter("persona_id", "must be the id of a persona of this Page")
    return persona_id


def _check_control(platform: Platform, caller: PageCaller, thread: Thread) -> None:
    if thread.owner(platform.timeline.millis()) in (None, caller.app.app_id):
        return
    raise GraphError(100, 2534037) if thread.instagram else GraphError(10, 2018300)


def _check_window(platform: Platform, page: Page, thread: Thread, tag: str | None) -> None:
    """Check that the person acted within 24 hours, or 7 days where a human agent may answer.

    A tag that the Page was not approved for is refused even inside the window.
    """
    if tag == NEWS:
        raise GraphError(10, 2018065)
    now = platform.timeline.millis()
    human_agent = tag == HUMAN_AGENT
    approved = page.human_agent or not human_agent
    if not approved or not thread.window_open(now, human_agent=human_agent):
        raise GraphError(10, 2534022 if thread.instagram else 2018278)


def _act(platform: Platform, caller: PageCaller, call: Call, action: str) -> Mapping[str, Any]:
    if action not in SENDER_ACTIONS:
        raise invalid_parameter("sender_action", "must be a sender action")
    thread = _recipient(platform, caller.page, call)
    _check_control(platform, caller, thread)
    match action:
        case "typing_on" | "typing_off":
            platform.exchange.typing(thread, on=action == "typing_on")
        case "mark_seen":
            platform.exchange.seen(thread)
        case _:
            _react(platform, thread, call, taken_back=action == "unreact")
    return {"recipient_id": thread.psid}


def _react(platform: Platform, thread: Thread, call: Call, *, taken_back: bool) -> None:
    payload = call.mapping("payload") or {}
    said = thread.utterances.get(str(payload.get("message_id")))
    if said is None:
        raise invalid_parameter("payload[message_id]", "must be the id of a message of this thread")
    reaction = payload.get("reaction")
    if taken_back:
        platform.exchange.react(thread, said, None)
    elif not isinstance(reaction, str) or not reaction:
        raise invalid_parameter("payload[reaction]", "must be a reaction")
    else:
        platform.exchange.react(thread, said, EMOJI.get(reaction, reaction))
