"""The sum: accepted = done + dropped + parked + in flight, event by event."""

from collections.abc import Set as AbstractSet

from tests.faults.checks.report import Report
from tests.faults.evidence import Evidence


def check_accounts(
    evidence: Evidence,
    report: Report,
    *,
    sources: AbstractSet[str],
    expected_dead_letters: frozenset[str],
) -> None:
    """Find the one place of every event that Kafka acknowledged; count those of our channels.

    The log may hold those of earlier runs too.
    """
    done = {row["event_id"] for row in evidence.of("inbox")}
    parked = {row["event_id"] for row in evidence.of("parked")}
    set_aside = {
        row["event_id"]: row["reason"] for row in evidence.of("dead_letters") if row["event_id"]
    }
    reached = {row["partition"]: row["next_offset"] or 0 for row in evidence.of("partitions")}
    accepted = {record["id"]: record for record in reversed(evidence.inbound)}
    ours = {event_id for event_id, record in accepted.items() if record["source"] in sources}
    report.count("accepted", len(ours))
    brought = sum(record["source"] in sources for record in evidence.inbound)
    report.count("records_repeated", brought - len(ours))
    for event_id, record in accepted.items():
        at = {
            "parked": event_id in parked,
            "dropped": event_id in set_aside,
            "done": event_id in done and event_id not in set_aside,
            "in_flight": record["offset"] >= reached.get(record["partition"], 0),
        }
        places = [place for place, there in at.items() if there]
        report.count(places[0] if places else "nowhere", event_id in ours)
        if len(places) != 1:
            report.find("unexplained", f"event {event_id} is {' and '.join(places) or 'nowhere'}")
    _check_dead_letters(evidence, report, expected_dead_letters)
    for what in evidence.unsettled:
        report.find("unexplained", f"still under way: {what}")
    for event_id in (done | parked) - accepted.keys() if accepted else ():
        report.find("unexplained", f"event {event_id} has an effect and is not in the log")


def _check_dead_letters(evidence: Evidence, report: Report, expected: frozenset[str]) -> None:
    for row in evidence.of("dead_letters"):
        report.count(f"dropped.{row['reason']}")
        if row["reason"] not in expected:
            report.find("unexplained", f"a dead letter of {row['stage']}: {row['reason']}")
