"""Messages, deliveries and enquiries are in one state each, and came there along the arrows."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping

from tests.faults.checks.report import Report
from tests.faults.evidence import Evidence, Row

# As the public interface documents them, without `sending`, of which no event tells. Written out
# here: a check that asks the code for its own rules finds nothing.
_MESSAGE_ARROWS: Mapping[str, frozenset[str]] = {
    "": frozenset({"accepted", "sent"}),
    "accepted": frozenset({"sent", "failed", "uncertain"}),
    # Told again when nobody knows any better at the end of the wait.
    "uncertain": frozenset({"uncertain", "sent", "accepted", "failed"}),
    "sent": frozenset({"delivered", "read", "failed"}),
    "delivered": frozenset({"read"}),
    "read": frozenset(),
    "failed": frozenset({"accepted", "sent"}),
}
_ENQUIRY_ARROWS: Mapping[str, frozenset[str]] = {
    "": frozenset({"open"}),
    "open": frozenset({"offered", "ongoing", "missed", "closed"}),
    "offered": frozenset({"open", "ongoing", "missed", "closed"}),
    "ongoing": frozenset({"offered", "closed"}),
    "missed": frozenset({"followed_up", "open", "closed"}),
    "followed_up": frozenset({"ongoing", "closed"}),
    "closed": frozenset({"open"}),
}
_STEPS = {
    f"gateway.message.{name}.v1": name
    for name in ("accepted", "sent", "delivered", "read", "failed", "uncertain")
}
_OF_DELIVERY: Mapping[str, frozenset[str]] = {
    "pending": frozenset({"accepted"}),
    "sending": frozenset({"sending"}),
    "uncertain": frozenset({"uncertain"}),
    "delivered": frozenset({"sent", "delivered", "read", "failed"}),
    # An echo may contradict a failure later.
    "failed": frozenset({"failed", "sent", "delivered", "read"}),
    "cancelled": frozenset({"failed", "sent", "delivered", "read"}),
}
_MOMENTS = {"sent": "sent_at", "delivered": "delivered_at", "read": "read_at"}
_LIVE = frozenset({"open", "offered", "ongoing"})


def check_states(evidence: Evidence, report: Report) -> None:
    _check_messages(evidence, report)
    _check_deliveries(evidence, report)
    _check_enquiries(evidence, report)


def _check_messages(evidence: Evidence, report: Report) -> None:
    paths = _paths(
        (event["message_id"], _STEPS[event["type"]])
        for event in evidence.of("events")
        if event["type"] in _STEPS
    )
    seen: set[str] = set()
    for message in evidence.of("messages"):
        if message["id"] in seen:
            report.find("states", f"{message['id']} is there twice")
        seen.add(message["id"])
        report.count(f"messages.{message['direction']}.{message['status']}")
        if message["direction"] == "inbound":
            if message["status"] != "received":
                report.find("states", f"inbound {message['id']} is {message['status']}")
            continue
        path = paths.get(message["id"], [])
        _walk(f"message {message['id']}", path, _MESSAGE_ARROWS, report)
        status = "accepted" if message["status"] == "sending" else message["status"]
        if path and path[-1] != status:
            report.find("states", f"{message['id']} is {status}, and {path[-1]} by its events")
        moment = _MOMENTS.get(status)
        if moment is not None and message[moment] is None:
            report.find("states", f"{message['id']} is {status} without a {moment}")


def _check_deliveries(evidence: Evidence, report: Report) -> None:
    statuses = {message["id"]: message["status"] for message in evidence.of("messages")}
    latest: dict[str, Row] = {}
    for delivery in sorted(evidence.of("deliveries"), key=lambda each: each["id"]):
        if delivery["kind"] == "message":
            latest[delivery["message_id"]] = delivery
    for message_id, delivery in latest.items():
        status = statuses.get(message_id)
        if status not in _OF_DELIVERY[delivery["status"]]:
            what = f"{message_id} is {status}, its delivery {delivery['status']}"
            report.find("states", what)
        if delivery["holds_lane"] and delivery["status"] in ("delivered", "failed", "cancelled"):
            report.find("states", f"the delivery of {message_id} is settled and holds its lane")


def _check_enquiries(evidence: Evidence, report: Report) -> None:
    paths = _paths(
        (event["enquiry_id"], event["enquiry_status"])
        for event in evidence.of("events")
        if event["enquiry_status"] is not None
    )
    live: dict[str, str] = {}
    for enquiry in evidence.of("enquiries"):
        report.count(f"enquiries.{enquiry['status']}")
        # An event that changes no state tells the same one again.
        path = [step for step, _ in itertools.groupby(paths[enquiry["id"]])]
        _walk(f"enquiry {enquiry['id']}", path, _ENQUIRY_ARROWS, report)
        if path[-1:] != [enquiry["status"]]:
            report.find("states", f"{enquiry['id']} is {enquiry['status']}, by its events {path}")
        if enquiry["status"] == "closed" and enquiry["closed_at"] is None:
            report.find("states", f"{enquiry['id']} was closed at no time")
        if enquiry["status"] in _LIVE:
            other = live.setdefault(enquiry["conversation_id"], enquiry["id"])
            if other != enquiry["id"]:
                report.find("states", f"{other} and {enquiry['id']} are alive at once")


def _paths(steps: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the states by what they are of, in the order of the events."""
    paths: dict[str, list[str]] = defaultdict(list)
    for name, step in steps:
        paths[name].append(step)
    return paths


def _walk(
    name: str, path: Iterable[str], arrows: Mapping[str, frozenset[str]], report: Report
) -> None:
    before = ""
    for step in path:
        if step not in arrows[before]:
            report.find("states", f"{name} went from {before or 'nothing'} to {step}")
        before = step
