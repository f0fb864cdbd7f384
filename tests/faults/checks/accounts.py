"""The sum: accepted = done + dropped + parked + in flight, event by event."""

from tests.faults.checks.report import Report
from tests.faults.evidence import Evidence


def check_accounts(
    evidence: Evidence, report: Report, *, expected_dead_letters: frozenset[str]
) -> None:
    """Find the one place of every event that Kafka acknowledged."""
    done = {row["event_id"] for row in evidence.of("inbox")}
    parked = {row["event_id"] for row in evidence.of("parked")}
    set_aside = {
        row["event_id"]: row["reason"] for row in evidence.of("dead_letters") if row["event_id"]
    }
    reached = {row["partition"]: row["next_offset"] or 0 for row in evidence.of("partitions")}
    accepted: set[str] = set()
    for record in evidence.inbound:
        if record["id"] in accepted:
            report.count("records_repeated")
            continue
        accepted.add(record["id"])
        places = [
            name
            for name, there in (
                ("parked", record["id"] in parked),
                ("dropped", record["id"] in set_aside),
                ("done", record["id"] in done and record["id"] not in set_aside),
                ("in_flight", record["offset"] >= reached.get(record["partition"], 0)),
            )
            if there
        ]
        if len(places) != 1:
            report.find("unexplained", f"event {record['id']} is {' and '.join(places) or 'gone'}")
        for place in places[:1]:
            report.count(place)
    report.count("accepted", len(accepted))
    for row in evidence.of("dead_letters"):
        report.count(f"dropped.{row['reason']}")
        if row["reason"] not in expected_dead_letters:
            report.find("unexplained", f"a dead letter of {row['stage']}: {row['reason']}")
    for what in evidence.unsettled:
        report.find("unexplained", f"still under way: {what}")
    if accepted:
        for event_id in (done | parked) - accepted:
            report.find("unexplained", f"event {event_id} has an effect and is not in the log")
