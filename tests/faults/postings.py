"""Webhooks as Meta and third parties post them: the same body until it is known to be safe."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from tests.faults.cast import Channel, Contact
from tests.faults.deployment import Deployment
from tests.faults.ledger import Ledger

# As long as Meta waits for an answer.
PATIENCE_SECONDS = 5.0
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 3.0


@dataclass(frozen=True)
class Said:
    """One message of one person."""

    contact: Contact
    mid: str
    item: dict[str, Any]


@dataclass(eq=False)
class Posting:
    """A body on its way; `repeats` are the postings whose items it brings again."""

    number: int
    path: str
    headers: dict[str, str]
    body: bytes
    said: Sequence[Said]
    good: int
    repeats: list[int] = field(default_factory=list)


class Post:
    """Makes bodies, signs them, and posts them until they are answered as they should be."""

    def __init__(self, deployment: Deployment, ledger: Ledger, client: httpx.AsyncClient) -> None:
        self._deployment = deployment
        self._ledger = ledger
        self._client = client

    def say(self, contact: Contact) -> Said:
        """Return a person's next message, in the words of their channel."""
        mid = contact.next_mid()
        text = f"in {contact.source_id} {contact.said}"
        moment = round(time.time() * 1000)
        item: dict[str, Any]
        if contact.channel.kind == "third_party":
            item = {"id": mid, "contact": {"id": contact.source_id}, "type": "text", "text": text}
        else:
            item = {
                "sender": {"id": contact.source_id},
                "recipient": {"id": contact.channel.source},
                "timestamp": moment,
                "message": {"mid": mid, "text": text},
            }
        return Said(contact, mid, item)

    def posting(self, said: Sequence[Said], *, repeats: Sequence[int] = ()) -> Posting:
        """Return a body that holds these messages: all of Pages, or all of one third party."""
        channel = said[0].contact.channel
        if channel.kind == "third_party":
            return self._incoming(channel, said, repeats)
        entries: dict[str, list[dict[str, Any]]] = {}
        for each in said:
            entries.setdefault(each.contact.channel.source, []).append(each.item)
        now = round(time.time() * 1000)
        value = {
            "object": "page",
            "entry": [
                {"id": source, "time": now, "messaging": items} for source, items in entries.items()
            ],
        }
        body = json.dumps(value).encode()
        secret = self._deployment.app_secret.encode()
        signature = hmac.new(secret, body, hashlib.sha256).hexdigest()
        headers = {"X-Hub-Signature-256": f"sha256={signature}"}
        path = f"/webhooks/meta/{self._deployment.app_id}"
        # As the entries have them, which is how the gateway reads them.
        ordered = [each for source in entries for each in said if _source(each) == source]
        return self._noted(path, headers, body, ordered, repeats, good=200)

    def again(self, posting: Posting) -> Posting:
        """Return the same body once more."""
        return self._noted(
            posting.path,
            posting.headers,
            posting.body,
            posting.said,
            [posting.number],
            good=posting.good,
        )

    async def until_taken(self, posting: Posting) -> None:
        """Post a body again and again until it is answered as durable."""
        attempt, pause = 0, _FIRST_PAUSE
        while True:
            attempt += 1
            status = await self._try(posting)
            self._ledger.note("answered", posting=posting.number, attempt=attempt, status=status)
            if status == posting.good:
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _try(self, posting: Posting) -> int | None:
        try:
            answer = await self._client.post(
                posting.path,
                content=posting.body,
                headers={**posting.headers, "Content-Type": "application/json"},
                timeout=PATIENCE_SECONDS,
            )
        except httpx.HTTPError:
            return None
        return answer.status_code

    def _incoming(self, channel: Channel, said: Sequence[Said], repeats: Sequence[int]) -> Posting:
        body = json.dumps({"messages": [each.item for each in said]}).encode()
        headers = {"Authorization": f"Bearer {channel.token}"}
        path = f"/incoming/{channel.id}/messages"
        return self._noted(path, headers, body, said, repeats, good=202)

    def _noted(
        self,
        path: str,
        headers: dict[str, str],
        body: bytes,
        said: Sequence[Said],
        repeats: Sequence[int],
        *,
        good: int,
    ) -> Posting:
        number = len(self._ledger)
        self._ledger.note(
            "posted",
            posting=number,
            good=good,
            items=[[s.contact.channel.id, s.contact.source_id, s.mid] for s in said],
            repeats=list(repeats),
        )
        return Posting(number, path, headers, body, said, good, list(repeats))


def _source(said: Said) -> str:
    return said.contact.channel.source
