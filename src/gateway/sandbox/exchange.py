"""What passes between a person and the apps of a Page: events, messages, marks, hand-over."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from gateway.sandbox.comments import note_comment
from gateway.sandbox.content import Content
from gateway.sandbox.courier import Courier, Posting
from gateway.sandbox.items import (
    Item,
    completed,
    echo_item,
    for_standby,
    is_shared,
    millis_of,
    opens_window,
    subscribed,
)
from gateway.sandbox.threads import TYPING_MS, Thread, Utterance, new_mid
from gateway.sandbox.timeline import Timeline
from gateway.sandbox.webhooks import body_of, field_of
from gateway.sandbox.world import Page, World

# How long a thread counts as open after its page was fetched and before its stream connects.
PAGE_LOAD_MS: Final = 15_000


@dataclass(frozen=True, slots=True)
class Sent:
    """An event as it was sent, and where to."""

    item: Item
    mid: str | None
    postings: list[Posting] = field(default_factory=list)


class Exchange:
    """Carries events from people to apps and messages from apps to people."""

    def __init__(
        self, *, world: World, timeline: Timeline, courier: Courier, echo_delay: timedelta
    ) -> None:
        self._world = world
        self._timeline = timeline
        self._courier = courier
        self._echo_delay = echo_delay

    def from_visitor(self, page: Page, source_id: str, psid: str, raw: Mapping[str, Any]) -> Sent:
        """Send an event of a person, or a bare `changes` item, as Meta would.

        What a messaging item lacks (`sender`, `recipient`, `timestamp`, a `mid`) is filled in; what
        is null in it is left out.
        """
        if isinstance(raw.get("field"), str) and "value" in raw:
            item = dict(raw)
            thread = self._world.open_thread(page, source_id, psid)
            note_comment(page, source_id, psid, item, self._timeline.millis())
            return Sent(item, None, self._emit(thread, item, channel="changes"))
        thread = self._world.open_thread(page, source_id, psid)
        item = completed(raw, source_id=source_id, psid=psid, now=self._timeline.millis())
        mid = self._take_note(thread, item)
        postings = self._emit(thread, item)
        self._follow(thread, mid, postings)
        return Sent(item, mid, postings)

    def from_page(
        self,
        page: Page,
        thread: Thread,
        content: Content,
        *,
        app_id: str,
        reply_to: str | None = None,
        persona_id: str | None = None,
    ) -> Utterance:
        """Show a message of the Page to the person; echo, delivery and read follow as webhooks."""
        now = self._timeline.millis()
        said = Utterance(
            mid=new_mid(),
            author="page",
            at=max(now, thread.last_activity_at),
            tick="sent",
            text=content.text,
            attachments=content.attachments,
            quick_replies=content.quick_replies,
            reply_to=reply_to,
            persona_id=persona_id,
            app_id=app_id,
            metadata=content.metadata,
        )
        thread.typing_until = 0
        thread.keep_control(now)
        self._page_saw(thread)
        thread.add(said)
        self._echo(page, thread, said)
        said.tick = "delivered"
        if not thread.instagram:
            delivery = {"mids": [said.mid], "watermark": said.at}
            self._emit(thread, self._event(thread, "delivery", delivery))
        if thread.is_open(now):
            self.read(thread)
        thread.changed()
        return said

    def typing(self, thread: Thread, *, on: bool) -> None:
        """Show or hide that the Page is typing; shown, it lasts about 20 seconds."""
        thread.typing_until = self._timeline.millis() + TYPING_MS if on else 0
        thread.changed()

    def seen(self, thread: Thread) -> None:
        """Show the person that the Page has seen what they wrote."""
        self._page_saw(thread)
        thread.changed()

    def react(self, thread: Thread, said: Utterance, emoji: str | None) -> None:
        """Put the Page's reaction on a message, or take it off."""
        if emoji is None:
            said.reactions.pop("page", None)
        else:
            said.reactions["page"] = emoji
        thread.changed()

    def page_loaded(self, thread: Thread) -> None:
        """Note that the person opened the thread; its stream follows, or they soon left again."""
        thread.open_until = self._timeline.millis() + PAGE_LOAD_MS
        self.read(thread)

    def read(self, thread: Thread) -> None:
        """Mark what the Page wrote as read by the person, where anything is unread."""
        unread = thread.unread()
        if not unread:
            return
        watermark = max(self._timeline.millis(), unread[-1].at)
        for said in unread:
            said.tick = "read"
        thread.visitor_read_until = watermark
        if thread.instagram:
            for said in unread:
                self._emit(thread, self._event(thread, "read", {"mid": said.mid}))
        else:
            self._emit(thread, self._event(thread, "read", {"watermark": watermark}))
        thread.changed()

    def hand_over(
        self,
        thread: Thread,
        action: str,
        *,
        actor: str,
        new_owner: str | None,
        metadata: str | None,
    ) -> None:
        """Change who controls a thread and tell whom it concerns.

        `pass` tells the new owner, `take` the one it was taken from, `request` the present one;
        `release` tells nobody.
        """
        now = self._timeline.millis()
        previous = thread.owner(now)
        item = self._item(thread)
        match action:
            case "request":
                item["request_thread_control"] = {
                    "requested_owner_app_id": actor,
                    "metadata": metadata,
                }
                self._tell(thread, item, previous)
                return
            case "pass" | "take":
                item[f"{action}_thread_control"] = {
                    "previous_owner_app_id": previous,
                    "new_owner_app_id": new_owner,
                    "metadata": metadata,
                }
                thread.give_to(new_owner, now)
                self._tell(thread, item, new_owner if action == "pass" else previous)
            case _:
                thread.give_to(None, now)
        thread.changed()

    def _tell(self, thread: Thread, item: Item, app_id: str | None) -> None:
        if app_id is not None:
            self._emit(thread, item, only=app_id)

    def _echo(self, page: Page, thread: Thread, said: Utterance) -> None:
        if page.echoes == "off":
            return
        item = echo_item(thread, said)
        # Every other one is held back, so that the next one and its own marks overtake it.
        held = page.echoes == "delay" or (page.echoes == "reorder" and page.echoes_held % 2 == 0)
        page.echoes_held += 1
        self._emit(thread, item, after=self._echo_delay if held else None)

    def _emit(
        self,
        thread: Thread,
        item: Item,
        *,
        channel: str = "messaging",
        only: str | None = None,
        after: timedelta | None = None,
    ) -> list[Posting]:
        page = self._world.pages[thread.page_id]
        now = self._timeline.millis()
        wanted = field_of(item, instagram=thread.instagram)
        owner = thread.owner(now)
        postings = []
        for app in list(self._world.apps.values()):
            fields = page.subscriptions.get(app.app_id, ())
            if only is not None and app.app_id != only:
                continue
            used, name = channel, wanted
            if channel == "messaging" and owner not in (None, app.app_id) and is_shared(item):
                used, name = "standby", "standby"
            if not subscribed(fields, name, instagram=thread.instagram):
                continue
            shown = for_standby(item) if used == "standby" else item
            body = body_of(
                source_id=thread.source_id,
                instagram=thread.instagram,
                channel=used,
                item=shown,
                now=now,
            )
            due = None if after is None else self._timeline.now() + after
            postings.append(
                self._courier.post(Posting(app, page, thread.conversation_id, name, body, due=due))
            )
        return postings

    def _take_note(self, thread: Thread, item: Item) -> str | None:
        """Bring the thread up to date with an event of the person and return the event's mid."""
        at = min(
            millis_of(item.get("timestamp")) or self._timeline.millis(), self._timeline.millis()
        )
        message, postback, reaction = (item.get(key) for key in ("message", "postback", "reaction"))
        thread.acted = True
        if opens_window(item):
            thread.act(at)
        if isinstance(message, Mapping) and message.get("is_echo") is not True:
            return self._hear(thread, message, at)
        if isinstance(postback, Mapping):
            said = {"mid": postback.get("mid"), "text": postback.get("title")}
            return self._hear(thread, said, at)
        if isinstance(reaction, Mapping):
            self._hear_reaction(thread, reaction)
        return None

    def _hear(self, thread: Thread, message: Mapping[str, Any], at: int) -> str | None:
        mid, text, reply_to = (message.get(key) for key in ("mid", "text", "reply_to"))
        attachments = message.get("attachments")
        if not isinstance(mid, str):
            return None
        thread.keep_control(at)
        thread.add(
            Utterance(
                mid=mid,
                author="visitor",
                at=at,
                tick="sending",
                text=text if isinstance(text, str) else None,
                attachments=[one for one in _list(attachments) if isinstance(one, dict)],
                reply_to=reply_to.get("mid") if isinstance(reply_to, Mapping) else None,
            )
        )
        return mid

    def _hear_reaction(self, thread: Thread, reaction: Mapping[str, Any]) -> None:
        said = thread.utterances.get(str(reaction.get("mid")))
        if said is None:
            return
        if reaction.get("action") == "react":
            said.reactions["visitor"] = str(reaction.get("emoji", "❤"))
        else:
            said.reactions.pop("visitor", None)
        thread.changed()

    def _follow(self, thread: Thread, mid: str | None, postings: Iterable[Posting]) -> None:
        said = thread.utterances.get(mid) if mid is not None else None
        if said is None or said.author != "visitor":
            return
        for posting in postings:
            posting.on_attempt = lambda arrived: _tick(thread, said, arrived=arrived)

    def _page_saw(self, thread: Thread) -> None:
        thread.page_saw_until = self._timeline.millis()
        for said in thread.utterances.values():
            if said.author == "visitor":
                said.tick = "seen"

    def _event(self, thread: Thread, name: str, value: Mapping[str, Any]) -> Item:
        return {**self._item(thread), name: dict(value)}

    def _item(self, thread: Thread) -> Item:
        return {
            "sender": {"id": thread.psid},
            "recipient": {"id": thread.source_id},
            "timestamp": self._timeline.millis(),
        }


def _tick(thread: Thread, said: Utterance, *, arrived: bool) -> None:
    if said.tick != "seen":
        said.tick = "delivered" if arrived else "failing"
        thread.changed()


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
