"""Outbound: every accepted reply leaves once, in order; who does not know says so, and why."""

from collections import defaultdict

from tests.faults.checks.report import Report
from tests.faults.evidence import Evidence, Row
from tests.faults.ledger import Ledger

_ACCEPTED = 202
_REFUSALS = frozenset({400, 401, 403, 404, 422})
_ARRIVED = frozenset({"sent", "delivered", "read"})


def check_sends(ledger: Ledger, evidence: Evidence, report: Report) -> None:
    _check_replies(ledger, evidence, report)
    outbound = {
        row["id"]: row
        for row in evidence.of("messages")
        if row["direction"] == "outbound" and row["author_kind"] != "page"
    }
    effects = effects_of(evidence)
    for message in outbound.values():
        _check_effect(message, effects.get(message["id"], 0), report)
    _check_order(evidence, outbound, report)
    _check_uncertain(ledger, evidence, outbound, effects, report)
    _check_marks(evidence, outbound, report)


def effects_of(evidence: Evidence) -> dict[str, int]:
    """Return how often each message of ours reached its recipient."""
    effects: dict[str, int] = defaultdict(int)
    for send in evidence.journal.sends():
        effects[send.message] += send.effect
    for message, mids in evidence.journal.echoes().items():
        effects[message] = max(effects[message], len(mids))
    # A third party drops what comes again under the same id.
    for _, message, _ in {(0, m, w) for _, m, w in evidence.journal.third_party_sends()}:
        effects[message] += 1
    return effects


def _check_replies(ledger: Ledger, evidence: Evidence, report: Report) -> None:
    rows: dict[str, list[Row]] = defaultdict(list)
    for message in evidence.of("messages"):
        rows[message["client_reference"]].append(message)
    accepted: dict[str, set[str]] = defaultdict(set)
    for entry in ledger.of("replied"):
        if entry["status"] == _ACCEPTED:
            accepted[entry["key"]].add(entry["message"])
        elif entry["status"] in _REFUSALS:
            report.find("unexplained", f"a reply was refused with {entry['status']}")
    report.count("replies", len(accepted))
    for key, ids in accepted.items():
        if len(ids) > 1 or len(rows[key]) > 1:
            report.find("doubled", f"{key} made {max(len(ids), len(rows[key]))} messages")
        if not rows[key]:
            report.find("lost", f"{key} was accepted and made no message")


def _check_effect(message: Row, effects: int, report: Report) -> None:
    report.count("sends", effects)
    if message["possibly_duplicate"]:
        report.count("resent")
    elif effects > 1:
        report.find("doubled", f"{message['id']} was sent {effects} times")
    if message["status"] in _ARRIVED and effects == 0:
        report.find("lost", f"{message['id']} is {message['status']} and was never sent")
    if message["status"] == "failed":
        report.count("failed")
        if effects and message["sent_at"] is None:
            report.find("states", f"{message['id']} failed, and was sent")


def _check_order(evidence: Evidence, outbound: dict[str, Row], report: Report) -> None:
    sent = [(send.n, send.message) for send in evidence.journal.sends() if send.effect]
    sent += [(n, message) for n, message, _ in evidence.journal.third_party_sends()]
    order: dict[str, dict[str, int]] = defaultdict(dict)
    for _, message_id in sorted(sent):
        message = outbound.get(message_id)
        if message is not None and not message["possibly_duplicate"]:
            order[message["conversation_id"]].setdefault(message_id, message["sequence"])
    for conversation, sequences in order.items():
        left = list(sequences.values())
        if left != sorted(left):
            report.find("inversions", f"sends of {conversation} left in the order {left}")


def _check_uncertain(
    ledger: Ledger,
    evidence: Evidence,
    outbound: dict[str, Row],
    effects: dict[str, int],
    report: Report,
) -> None:
    in_flight = {
        message for blow in ledger.of("blow") for message, _ in blow.get("in_flight") or ()
    }
    struck = {send.message for send in evidence.journal.sends() if send.fault or not send.effect}
    echoed = evidence.journal.taken_mids("message")
    mids = evidence.journal.echoes()
    ever = {
        event["message_id"]
        for event in evidence.of("events")
        if event["type"] == "gateway.message.uncertain.v1"
    }
    report.count("in_flight_at_kills", len(in_flight))
    report.count("uncertain_ever", len(ever))
    report.count("uncertain_left", 0)
    report.count("uncertain_never_called", 0)
    for message_id in ever - in_flight - struck:
        report.find("unexplained", f"{message_id} became uncertain without a blow")
    for message_id, message in outbound.items():
        if message["status"] != "uncertain":
            continue
        report.count("uncertain_left")
        if effects.get(message_id, 0) == 0:
            # Claimed and never called: nobody can know that but the sandbox.
            report.count("uncertain_never_called")
        elif mids.get(message_id, set()) & echoed:
            report.find("unexplained", f"{message_id} is uncertain after its echo was taken")


def _check_marks(evidence: Evidence, outbound: dict[str, Row], report: Report) -> None:
    delivered = evidence.journal.taken_mids("delivery")
    for message in outbound.values():
        if message["source_message_id"] in delivered and message["status"] in ("sent", "uncertain"):
            report.find("lost", f"the delivery mark of {message['id']}")
