"""The sandbox's own record: what it was asked to send, and which webhooks it posted."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx

_OK = 200
# Faults after which the effect is there whatever was answered.
_EFFECTIVE = frozenset({"drip", "drop_after_effect"})


class Send(NamedTuple):
    """A message that was asked for: our id of it, the attempt, and whether it took effect."""

    n: int
    at: str
    message: str
    attempt: int
    effect: bool
    fault: str | None


@dataclass
class Journal:
    """Entries read so far; `read` goes on where it left off."""

    entries: list[dict[str, Any]]

    async def read(self, sandbox: httpx.AsyncClient) -> int:
        """Read what is new and return how much that was."""
        before = len(self.entries)
        while True:
            after = self.entries[-1]["n"] if self.entries else 0
            answer = await sandbox.get("/control/journal", params={"after": after})
            answer.raise_for_status()
            page = answer.json()["data"]
            if not page:
                return len(self.entries) - before
            self.entries += [_slim(entry) for entry in page]

    def sends(self) -> Iterator[Send]:
        """Return the messages that Pages were asked to send, in the order of the calls' ends."""
        for entry in self.entries:
            said = entry["json"].get("message") if entry["kind"] == "call" else None
            if not isinstance(said, dict) or "metadata" not in said:
                continue
            message, _, attempt = said["metadata"].rpartition(".")
            fault = entry.get("fault")
            effect = fault in _EFFECTIVE if fault else entry["status"] == _OK
            yield Send(entry["n"], entry["at"], message, int(attempt), effect, fault)

    def third_party_sends(self) -> Iterator[tuple[int, str, str]]:
        """Return number, our id of the message and `webhook-id` of what third parties got."""
        for entry in self.entries:
            body = entry["json"] if entry.get("call") == "third_party" else {}
            if body.get("type") == "gateway.message.send.v1" and entry["status"] == _OK:
                yield entry["n"], body["data"]["message"]["id"], entry["webhook_id"]

    def echoes(self) -> dict[str, set[str]]:
        """Return the mids under which our messages were echoed, by our id of them."""
        found: dict[str, set[str]] = {}
        for item in self._items(answered=False):
            said = item.get("message", {})
            if said.get("is_echo") and said.get("metadata"):
                found.setdefault(said["metadata"].rpartition(".")[0], set()).add(said["mid"])
        return found

    def taken_mids(self, kind: str) -> set[str]:
        """Return the mids in echoes (`message`) or delivery marks that were answered 200."""
        found: set[str] = set()
        for item in self._items(answered=True):
            part = item.get(kind, {})
            found.update(part.get("mids", ()))
            if part.get("mid"):
                found.add(part["mid"])
        return found

    def untaken(self) -> int:
        """Return how many webhooks have not been answered 200 yet."""
        last: dict[str, bool] = {}
        for entry in self.entries:
            posted = entry["kind"] == "webhook" and entry["method"] == "POST"
            if posted and entry.get("fault") != "drop":
                body = entry["body"]
                last[body] = last.get(body, False) or entry["status"] == _OK
        return list(last.values()).count(False)

    def webhooks_taken(self, sources: Collection[str]) -> int:
        """Return how many webhooks of the sandbox's own, of these sources, were answered 200."""
        return sum(
            entry["kind"] == "webhook"
            and entry["status"] == _OK
            and any(each.get("id") in sources for each in entry["json"].get("entry", ()))
            for entry in self.entries
        )

    def _items(self, *, answered: bool) -> Iterator[dict[str, Any]]:
        for entry in self.entries:
            if entry["kind"] != "webhook" or (answered and entry["status"] != _OK):
                continue
            for source in entry["json"].get("entry", ()):
                yield from source.get("messaging", ())


def _slim(entry: dict[str, Any]) -> dict[str, Any]:
    body = entry.get("json")
    kept: dict[str, Any] = {
        name: entry[name]
        for name in ("n", "at", "kind", "method", "path", "status", "fault", "call")
        if name in entry
    }
    kept["json"] = body if isinstance(body, dict) else {}
    kept["body"] = entry["body"] if entry["kind"] == "webhook" else ""
    kept["webhook_id"] = entry["headers"].get("webhook-id", "")
    return kept
