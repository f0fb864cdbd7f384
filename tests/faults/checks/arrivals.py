"""Inbound: every item answered as durable is in the log and has its effect once, in order."""

import itertools
from collections import defaultdict
from dataclasses import dataclass, field

from tests.faults.checks.report import Report
from tests.faults.evidence import Evidence, Row
from tests.faults.ledger import Ledger

_RECEIVED = "gateway.message.received.v1"
Place = tuple[int, int]
# Channel and mid.
Name = tuple[str, str]


@dataclass
class Spoken:
    """What people wrote by the ledger: the contact, and between which entries it became safe."""

    channel: str
    contact: str
    mid: str
    first_posted: int
    safe: int | None = None
    postings: list[int] = field(default_factory=list)


def check_arrivals(ledger: Ledger, evidence: Evidence, report: Report) -> None:
    spoken = spoken_of(ledger)
    places = _first_places(ledger, evidence)
    effects = _effects(evidence)
    _count_answers(ledger, report)
    report.count("items", len(spoken))
    _check_effects(evidence, spoken, places, effects, report)
    _check_order(spoken, places, effects, report)
    for name in effects.keys() - spoken.keys():
        report.find("unexplained", f"a message that nobody wrote: {name[1]}")


def spoken_of(ledger: Ledger) -> dict[Name, Spoken]:
    """Return every message that people wrote, in the order in which they wrote."""
    spoken: dict[Name, Spoken] = {}
    postings: dict[int, list[Spoken]] = {}
    for entry in sorted([*ledger.of("posted"), *ledger.of("answered")], key=lambda each: each["n"]):
        if entry["kind"] == "posted":
            postings[entry["posting"]] = [
                spoken.setdefault((item[0], item[2]), Spoken(item[0], item[1], item[2], entry["n"]))
                for item in entry["items"]
            ]
        elif entry["status"] in (200, 202):
            for each in postings[entry["posting"]]:
                each.safe = entry["n"] if each.safe is None else each.safe
    return spoken


def _first_places(ledger: Ledger, evidence: Evidence) -> dict[Name, Place]:
    channels = {entry["source"]: entry["channel"] for entry in ledger.of("channel")}
    places: dict[Name, Place] = {}
    for record in evidence.inbound:
        channel = channels.get(record["source"])
        if record["type"] == _RECEIVED and channel is not None:
            place = record["partition"], record["offset"]
            name = channel, record["mid"]
            places[name] = min(places.get(name, place), place)
    return places


def _effects(evidence: Evidence) -> dict[Name, list[Row]]:
    effects: dict[Name, list[Row]] = defaultdict(list)
    for message in evidence.of("messages"):
        if message["direction"] == "inbound":
            effects[message["channel_id"], message["source_message_id"]].append(message)
    return effects


def _count_answers(ledger: Ledger, report: Report) -> None:
    for entry in ledger.of("posted"):
        report.count("repeats", bool(entry["repeats"]))
    for entry in ledger.of("answered"):
        if entry["status"] in (200, 202):
            report.count("webhooks")
        elif entry["status"] is None:
            report.count("webhooks_unanswered")
        else:
            report.count("webhooks_refused")


def _check_effects(
    evidence: Evidence,
    spoken: dict[Name, Spoken],
    places: dict[Name, Place],
    effects: dict[Name, list[Row]],
    report: Report,
) -> None:
    told: dict[str, set[str]] = defaultdict(set)
    for event in evidence.of("events"):
        if event["type"] == _RECEIVED:
            told[event["message_id"]].add(event["id"])
    elsewhere = _elsewhere(evidence)
    for name, each in spoken.items():
        rows = effects.get(name, [])
        if not rows and each.safe is not None and name not in elsewhere:
            wrong = "lost" if name in places else "not_durable"
            report.find(wrong, f"{each.mid} of {each.contact} was answered and has no effect")
        if len(rows) > 1:
            report.find("doubled", f"{each.mid} has {len(rows)} effects")
        for row in rows:
            events = len(told[row["id"]])
            if events != 1:
                wrong = "doubled" if events else "lost"
                report.find(wrong, f"{events} events tell of {each.mid}")


def _elsewhere(evidence: Evidence) -> set[Name]:
    """Return the messages whose records wait for their source or were set aside."""
    aside = {row["event_id"] for table in ("parked", "dead_letters") for row in evidence.of(table)}
    return {
        (record["source"], record["mid"]) for record in evidence.inbound if record["id"] in aside
    }


def _check_order(
    spoken: dict[Name, Spoken],
    places: dict[Name, Place],
    effects: dict[Name, list[Row]],
    report: Report,
) -> None:
    by_contact: dict[Name, list[Name]] = defaultdict(list)
    for name, each in spoken.items():
        by_contact[each.channel, each.contact].append(name)
    for (_, contact), names in by_contact.items():
        logged = [name for name in names if name in places]
        for before, after in itertools.pairwise(logged):
            safe = spoken[before].safe
            follows = safe is not None and safe < spoken[after].first_posted
            if follows and places[before] > places[after]:
                report.find("inversions", f"{before[1]} stands in the log after {after[1]}")
        done = [name for name in logged if name in effects]
        by_place = sorted(done, key=places.__getitem__)
        by_number = sorted(done, key=lambda name: effects[name][0]["sequence"])
        if by_place != by_number:
            report.find("inversions", f"effects of {contact} are not in the order of the log")
