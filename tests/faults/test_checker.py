"""The checker is as good as what it finds: faults planted in a real history, one at a time.

The history is that of a small run in which each role was killed; it is also the part of the kill
runs that every `make test` has.
"""

import asyncio
import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.faults.checker import Verdict, collect, judge
from tests.faults.drill import drill
from tests.faults.evidence import Evidence, Row
from tests.faults.ledger import Ledger
from tests.faults.totals import add_run
from tests.faults.traffic import Plan
from tests.support.loop_thread import LoopThread

pytestmark = [pytest.mark.faults, pytest.mark.quick, pytest.mark.timeout(300)]

_ROLES = ("sender", "routing", "api")
_PAUSE_SECONDS = 1.5


class History(NamedTuple):
    ledger: Ledger
    evidence: Evidence

    def altered(self, plant: Callable[[Evidence], Any]) -> Verdict:
        evidence = copy.deepcopy(self.evidence)
        plant(evidence)
        return judge(self.ledger, evidence)


async def _live_through_kills() -> History:
    async with drill(
        "kills-quick", Plan(contacts=40, accounts=2, pages=1, rate=30, answered=0.6)
    ) as run:

        async def strike(over: asyncio.Event) -> None:
            for role in _ROLES:
                await run.blows.kill(role)
                try:
                    async with asyncio.timeout(_PAUSE_SECONDS):
                        await over.wait()
                except TimeoutError:
                    continue

        await run.run(strike, webhooks=240)
        evidence = await collect(run.ledger, run.deployment, advance_clock=True)
    return History(run.ledger, evidence)


@pytest.fixture(scope="module")
def history(loop_thread: LoopThread) -> History:
    return loop_thread.run(_live_through_kills())


def test_a_run_with_kills_is_clean(history: History) -> None:
    verdict = judge(history.ledger, history.evidence)
    add_run("kills-quick", verdict.totals)
    verdict.require_clean()
    totals = verdict.totals
    assert totals["webhooks"] >= 240
    assert all(totals[f"kills.{role}"] == 1 for role in _ROLES)
    assert totals["accepted"] == totals["done"] > totals["items"]
    assert totals["sends"] >= totals["replies"] > 0


def test_a_history_that_was_kept_is_judged_as_it_was(history: History, tmp_path: Path) -> None:
    file = tmp_path / "evidence.json"
    history.evidence.keep(file)
    kept, now = Evidence.load(file), history.evidence
    assert judge(history.ledger, kept).totals == judge(history.ledger, now).totals


def test_a_lost_event_is_found(history: History) -> None:
    def lose(evidence: Evidence) -> None:
        evidence.of("messages").remove(_inbound(evidence)[7])

    assert "lost" in history.altered(lose).wrongs


def test_a_lost_public_event_is_found(history: History) -> None:
    def lose(evidence: Evidence) -> None:
        published = evidence.published[11]
        evidence.published = [each for each in evidence.published if each["id"] != published["id"]]

    assert history.altered(lose).wrongs == {"lost"}


def test_a_double_send_is_found(history: History) -> None:
    def send_twice(evidence: Evidence) -> None:
        calls = [entry for entry in evidence.journal.entries if entry["json"].get("message")]
        again = next(entry for entry in calls if "metadata" in entry["json"]["message"])
        evidence.journal.entries.append({**again, "n": len(evidence.journal.entries) + 1})

    assert history.altered(send_twice).wrongs == {"doubled"}


def test_a_double_send_of_another_attempt_is_found_by_its_echo(history: History) -> None:
    def echo_twice(evidence: Evidence) -> None:
        entry, item = next(_echoes(evidence))
        other = copy.deepcopy(item)
        other["message"]["mid"] += "-2"
        twin = {**entry, "json": {"entry": [{"messaging": [other]}]}, "body": "another"}
        evidence.journal.entries.append({**twin, "n": len(evidence.journal.entries) + 1})

    assert history.altered(echo_twice).wrongs == {"doubled"}


def test_an_effect_that_happened_twice_is_found(history: History) -> None:
    def repeat(evidence: Evidence) -> None:
        message = _inbound(evidence)[3]
        evidence.of("messages").append({**message, "id": "msg_twice"})

    assert "doubled" in history.altered(repeat).wrongs


def test_an_inversion_of_effects_is_found(history: History) -> None:
    def swap(evidence: Evidence) -> None:
        first, second = _two_of_a_conversation(_inbound(evidence))
        first["sequence"], second["sequence"] = second["sequence"], first["sequence"]

    assert history.altered(swap).wrongs == {"inversions"}


def test_an_inversion_of_sends_is_found(history: History) -> None:
    def swap(evidence: Evidence) -> None:
        sent = [m for m in evidence.of("messages") if m["direction"] == "outbound"]
        first, second = _two_of_a_conversation(sent)
        first["sequence"], second["sequence"] = second["sequence"], first["sequence"]

    assert history.altered(swap).wrongs == {"inversions"}


def test_a_message_in_two_states_is_found(history: History) -> None:
    def fail(evidence: Evidence) -> None:
        messages = evidence.of("messages")
        message = next(each for each in messages if each["status"] in ("delivered", "read"))
        message["status"] = "failed"

    assert "states" in history.altered(fail).wrongs


def test_a_delivery_that_disagrees_with_its_message_is_found(history: History) -> None:
    def reopen(evidence: Evidence) -> None:
        deliveries = evidence.of("deliveries")
        delivery = next(each for each in deliveries if each["kind"] == "message")
        delivery["status"] = "pending"

    assert history.altered(reopen).wrongs == {"states"}


def test_a_200_before_durability_is_found(history: History) -> None:
    def forget(evidence: Evidence) -> None:
        message = _inbound(evidence)[5]
        evidence.of("messages").remove(message)
        lost = {r["id"] for r in evidence.inbound if r["mid"] == message["source_message_id"]}
        evidence.inbound = [each for each in evidence.inbound if each["id"] not in lost]
        evidence.tables["inbox"] = [
            each for each in evidence.of("inbox") if each["event_id"] not in lost
        ]

    verdict = history.altered(forget)
    assert len(verdict.findings["not_durable"]) == 1


def test_an_event_that_is_nowhere_is_found(history: History) -> None:
    def forget(evidence: Evidence) -> None:
        evidence.of("inbox").pop()

    assert history.altered(forget).wrongs == {"unexplained"}


def test_a_gap_in_the_feed_is_found(history: History) -> None:
    def skip(evidence: Evidence) -> None:
        last = max(evidence.of("events"), key=lambda each: each["position"])
        last["position"] += 1

    assert "unexplained" in history.altered(skip).wrongs


def test_an_uncertain_message_without_a_cause_is_found(history: History) -> None:
    def doubt(evidence: Evidence) -> None:
        accepted = next(
            event
            for event in evidence.of("events")
            if event["type"] == "gateway.message.accepted.v1"
        )
        accepted["type"] = "gateway.message.uncertain.v1"

    assert "unexplained" in history.altered(doubt).wrongs


def _inbound(evidence: Evidence) -> list[Row]:
    return [each for each in evidence.of("messages") if each["direction"] == "inbound"]


def _two_of_a_conversation(messages: list[Row]) -> tuple[Row, Row]:
    first: dict[str, Row] = {}
    for message in sorted(messages, key=lambda each: each["sequence"]):
        before = first.setdefault(message["conversation_id"], message)
        if before is not message:
            return before, message
    raise AssertionError("Nobody wrote twice.")


def _echoes(evidence: Evidence) -> Iterator[tuple[Row, Row]]:
    for entry in evidence.journal.entries:
        for source in entry["json"].get("entry", ()):
            for item in source.get("messaging", ()):
                if item.get("message", {}).get("is_echo") and item["message"].get("metadata"):
                    yield entry, item
