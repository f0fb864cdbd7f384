"""A person's thread with a Page: what was said, who controls it, when the person last acted."""

import asyncio
import base64
import contextlib
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

DAY_MS: Final = 24 * 60 * 60 * 1000
STANDARD_WINDOW_MS: Final = DAY_MS
HUMAN_AGENT_WINDOW_MS: Final = 7 * DAY_MS
THREAD_CONTROL_MS: Final = DAY_MS
TYPING_MS: Final = 20_000

Author = Literal["visitor", "page"]
# A visitor's words: sending → delivered | failing → seen. The Page's: sent → delivered → read.
Tick = Literal["sending", "failing", "sent", "delivered", "seen", "read"]

_FIRST_NAMES: Final = (
    "Amara", "Beatriz", "Chidi", "Dalia", "Emeka", "Freya", "Goran", "Hana", "Ilse", "Jonas",
    "Kavya", "Liam", "Mei", "Noor", "Oskar", "Priya", "Quinn", "Rosa", "Samir", "Tove",
)  # fmt: skip
_LAST_NAMES: Final = (
    "Abara", "Bianchi", "Castro", "Dahl", "Eze", "Fontaine", "Garcia", "Haddad", "Ito", "Jensen",
    "Kowalski", "Lindqvist", "Moreau", "Novak", "Okafor", "Petrov", "Rossi", "Sato", "Tanaka",
    "Weiss",
)  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Utterance:
    """One message of a thread, of either side. `at` is in milliseconds, as Meta counts."""

    mid: str
    author: Author
    at: int
    tick: Tick
    text: str | None = None
    attachments: list[dict[str, Any]] = field(default_factory=list)
    quick_replies: list[dict[str, Any]] = field(default_factory=list)
    reply_to: str | None = None
    persona_id: str | None = None
    app_id: str | None = None
    metadata: str | None = None
    reactions: dict[Author, str] = field(default_factory=dict)


class Thread:
    """A thread. A change wakes everyone who watches it."""

    def __init__(
        self, *, page_id: str, source_id: str, psid: str, instagram: bool, max_messages: int
    ) -> None:
        self.page_id = page_id
        self.source_id = source_id
        self.psid = psid
        self.instagram = instagram
        self.first_name, self.last_name = _name_of(psid)
        self.locale = "en_GB"
        self.profile_readable = True
        self.blocked = False
        self.last_action_at: int | None = None
        self.last_activity_at = 0
        self.typing_until = 0
        self.page_saw_until = 0
        self.visitor_read_until = 0
        self.open_until = 0
        self.acted = False
        self.utterances: OrderedDict[str, Utterance] = OrderedDict()
        self._owner: str | None = None
        self._owned_until = 0
        self._max_messages = max_messages
        self._bells: set[asyncio.Event] = set()

    @property
    def conversation_id(self) -> str:
        """The thread's id at Graph: `t_` and a number that stays the same."""
        digest = hashlib.sha256(f"{self.source_id}:{self.psid}".encode()).digest()
        return f"t_{int.from_bytes(digest[:7], 'big')}"

    def add(self, utterance: Utterance) -> None:
        """Append a message; one whose mid is known already changes nothing."""
        if utterance.mid in self.utterances:
            return
        self.utterances[utterance.mid] = utterance
        while len(self.utterances) > self._max_messages:
            self.utterances.popitem(last=False)
        self.last_activity_at = max(self.last_activity_at, utterance.at)
        self.changed()

    def act(self, at: int) -> None:
        """Note that the person did something that opens the messaging window."""
        self.last_action_at = max(self.last_action_at or 0, at)

    def window_open(self, now: int, *, human_agent: bool) -> bool:
        """Say whether the Page may write: 24 hours after the person's last action, or 7 days."""
        if self.last_action_at is None:
            return False
        span = HUMAN_AGENT_WINDOW_MS if human_agent else STANDARD_WINDOW_MS
        return now - self.last_action_at <= span

    def owner(self, now: int) -> str | None:
        """Return the app that controls the thread; None when idle, as after 24 hours of silence."""
        return self._owner if now < self._owned_until else None

    def give_to(self, app_id: str | None, now: int) -> None:
        """Give control of the thread to an app, or to nobody."""
        self._owner = app_id
        self._owned_until = now + THREAD_CONTROL_MS

    def keep_control(self, now: int) -> None:
        """Start the 24 hours of thread control again, since somebody wrote."""
        if self.owner(now) is not None:
            self._owned_until = now + THREAD_CONTROL_MS

    def extend_control(self, now: int, span: int) -> None:
        """Let control of the thread last this many milliseconds from now."""
        self._owned_until = now + span

    def is_open(self, now: int) -> bool:
        """Say whether the person has the thread before their eyes."""
        return bool(self._bells) or now < self.open_until

    def newest(self, count: int) -> list[Utterance]:
        """Return the newest messages, oldest of them first."""
        return list(self.utterances.values())[-count:]

    def unread(self) -> list[Utterance]:
        """Return the Page's messages that the person has not read."""
        said_by_page = (said for said in self.utterances.values() if said.author == "page")
        return [said for said in said_by_page if said.tick != "read"]

    def changed(self) -> None:
        """Wake everyone who watches."""
        for bell in self._bells:
            bell.set()

    @contextlib.contextmanager
    def watched(self, bell: asyncio.Event) -> Iterator[None]:
        """Ring a bell at each change while the context lasts; the thread is open meanwhile."""
        self._bells.add(bell)
        try:
            yield
        finally:
            self._bells.discard(bell)


def new_mid() -> str:
    """Return a message id in the shape Meta gives them today."""
    return "m_" + base64.urlsafe_b64encode(secrets.token_bytes(63)).decode()


def _name_of(psid: str) -> tuple[str, str]:
    digest = hashlib.sha256(psid.encode("utf-8", "surrogatepass")).digest()
    return _FIRST_NAMES[digest[0] % len(_FIRST_NAMES)], _LAST_NAMES[digest[1] % len(_LAST_NAMES)]
