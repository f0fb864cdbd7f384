"""Comments on posts, and the one private message that may answer each."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.sandbox.errors import GraphError
from gateway.sandbox.items import Item, millis_of
from gateway.sandbox.threads import DAY_MS, Thread
from gateway.sandbox.world import Comment, Page, World

_REPLY_MS: Final = 7 * DAY_MS
_KEPT: Final = 1000


def note_comment(page: Page, source_id: str, psid: str, item: Item, now: int) -> None:
    """Keep a comment that a `changes` item tells of; other items are nobody's comment."""
    value = item["value"]
    if not isinstance(value, Mapping):
        return
    comment_id = _comment_id(item["field"], value)
    if comment_id is None or comment_id in page.comments:
        return
    at = millis_of(value.get("created_time")) or now
    page.comments[comment_id] = Comment(source_id=source_id, psid=psid, at=min(at, now))
    if len(page.comments) > _KEPT:
        del page.comments[next(iter(page.comments))]


def commenter(world: World, page: Page, comment_id: str, *, now: int) -> tuple[Thread, Comment]:
    """Return who may be answered for a comment; raises GraphError as Meta would."""
    comment = page.comments.get(comment_id)
    if comment is None:
        raise GraphError(100, 2018001)
    if comment.replied:
        raise GraphError(10900, message="(#10900) Activity already replied to")
    if now - comment.at > _REPLY_MS:
        raise GraphError(10, 2018278)
    return world.open_thread(page, comment.source_id, comment.psid), comment


def _comment_id(field: str, value: Mapping[str, Any]) -> str | None:
    added = value.get("item") == "comment" and value.get("verb") == "add"
    if field == "feed" and added:
        return str(value.get("comment_id"))
    return str(value.get("id")) if field in ("comments", "live_comments") else None
