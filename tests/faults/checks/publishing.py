"""What outside learns: every committed event on its topic in order, and in the feed once."""

from collections import defaultdict

from tests.faults.checks.report import Report
from tests.faults.evidence import Evidence, Row
from tests.faults.ledger import Ledger


def check_publishing(ledger: Ledger, evidence: Evidence, report: Report) -> None:
    by_key: dict[str, list[Row]] = defaultdict(list)
    for event in evidence.of("events"):
        by_key[event["key"]].append(event)
    _check_topic(evidence, by_key, report)
    _check_numbers(evidence, by_key, report)
    _check_positions(evidence, report)
    _check_heard(ledger, evidence, report)


def _check_topic(evidence: Evidence, by_key: dict[str, list[Row]], report: Report) -> None:
    first: dict[str, dict[str, Row]] = defaultdict(dict)
    for record in evidence.published:
        if record["key"] in by_key:
            report.count("publications_repeated", record["id"] in first[record["key"]])
            first[record["key"]].setdefault(record["id"], record)
    for key, events in by_key.items():
        records = list(first[key].values())
        report.count("public_events", len(records))
        ids = {event["id"] for event in events}
        for event_id in first[key].keys() - ids:
            report.find("unexplained", f"{event_id} was published and is in no table")
        for event_id in ids - first[key].keys():
            report.find("lost", f"{event_id} was not published")
        numbers = [record["sequence"] for record in records]
        if numbers != sorted(numbers):
            report.find("inversions", f"events of {key} were published in the order {numbers}")
        if len({record["partition"] for record in records}) > 1:
            report.find("inversions", f"events of {key} are in several partitions")


def _check_numbers(evidence: Evidence, by_key: dict[str, list[Row]], report: Report) -> None:
    """A conversation's numbers have no gap: each was taken by what it told."""
    for conversation in evidence.of("conversations"):
        numbers = [event["sequence"] for event in by_key.get(conversation["id"], [])]
        if numbers != list(range(1, conversation["next_seq"])):
            expected = conversation["next_seq"] - 1
            what = f"{conversation['id']} has {len(numbers)} events up to number {expected}"
            report.find("unexplained", what)


def _check_positions(evidence: Evidence, report: Report) -> None:
    positions: dict[str, list[int]] = defaultdict(list)
    for event in evidence.of("events"):
        if event["position"] is None:
            report.find("lost", f"{event['id']} has no position in the feed")
        else:
            positions[event["account_id"]].append(event["position"])
    counters = {row["account_id"]: row["next_position"] for row in evidence.of("feed_counters")}
    for account, taken in positions.items():
        if sorted(taken) != list(range(1, counters.get(account, 0))):
            report.find("unexplained", f"the feed of {account} has gaps or places taken twice")


def _check_heard(ledger: Ledger, evidence: Evidence, report: Report) -> None:
    """Whoever followed the feed missed nothing and heard nothing twice."""
    heard: dict[str, set[str]] = defaultdict(set)
    types: set[str] = set()
    for entry in ledger.of("heard"):
        types.add(entry["type"])
        if entry["event"] in heard[entry["account"]]:
            report.find("doubled", f"the feed told of {entry['event']} twice")
        heard[entry["account"]].add(entry["event"])
    events = {event["id"]: event for event in evidence.of("events")}
    for account, ids in heard.items():
        for event_id in ids - events.keys():
            report.find("unexplained", f"the feed told of {event_id}, which is in no table")
        last = max((events[each]["position"] or 0 for each in ids if each in events), default=0)
        missed = [
            event["id"]
            for event in events.values()
            if event["account_id"] == account
            and event["type"] in types
            and 0 < (event["position"] or 0) <= last
            and event["id"] not in ids
        ]
        for event_id in missed:
            report.find("lost", f"the feed never told of {event_id}")
