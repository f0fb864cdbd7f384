"""Plays an enquiry through a rule as if nobody answered: who would be asked, when, and the end."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from routing.destinations import AgentFacts, Standing, Tried
from routing.engine import Decision, Facts, GiveTo, Miss, OfferTo, Wait, decide
from routing.enquiries import EnquiryStatus
from routing.rules import Routing

WAITING_LIMIT = "waiting_limit"


@dataclass(frozen=True, slots=True)
class Step:
    """Somebody is asked, or given the enquiry.

    Attributes:
        after: How long after the enquiry came in.
        agent_ids: Those asked; none where a bot or an endpoint takes it.
    """

    after: timedelta
    destination_id: str
    agent_ids: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return its public form."""
        return {
            "after_seconds": round(self.after.total_seconds()),
            "destination_id": self.destination_id,
            "agent_ids": list(self.agent_ids),
        }


@dataclass(frozen=True, slots=True)
class Course:
    """What would happen to an enquiry.

    Attributes:
        first: The decision at the beginning, which explains itself.
        steps: Who would be asked, in order, where nobody answers.
        outcome: The state that it ends in.
        reason: Why, where it would be missed.
    """

    first: Decision
    steps: tuple[Step, ...]
    outcome: EnquiryStatus
    reason: str | None = None


def simulate(facts: Facts, routing: Routing) -> Course:
    """Return what would happen from a moment on, if nobody came, went or answered meanwhile."""
    first = decide(facts, routing)
    steps: list[Step] = []
    end: tuple[EnquiryStatus, str | None] = (EnquiryStatus.MISSED, WAITING_LIMIT)
    for at, decision in _decisions(facts, routing, first):
        match decision.outcome:
            case OfferTo(destination, agent_ids):
                steps.append(Step(at - facts.at, destination.id, agent_ids))
            case GiveTo(destination):
                steps.append(Step(at - facts.at, destination.id, ()))
                end = (EnquiryStatus.ONGOING, None)
            case Wait():
                pass
            case Miss(reason):
                end = (EnquiryStatus.MISSED, reason)
    return Course(first, tuple(steps), *end)


def _decisions(
    facts: Facts, routing: Routing, first: Decision
) -> Iterator[tuple[datetime, Decision]]:
    """Yield each decision with its moment, up to the one that ends it or the waiting limit."""
    deadline = facts.at + routing.waiting_limit
    decision = first
    while True:
        yield facts.at, decision
        match decision.outcome:
            case OfferTo():
                facts = _unanswered(facts, decision.outcome)
            case Wait():
                # Who waits is looked at again when another list holds.
                change = routing.next_change(facts.at, until=deadline)
                facts = replace(facts, at=change or deadline)
            case _:
                return
        if facts.at >= deadline:
            return
        decision = decide(facts, routing)


def _unanswered(facts: Facts, offer: OfferTo) -> Facts:
    how = {**facts.tried.how, **dict.fromkeys(offer.agent_ids, Standing.TIMED_OUT.value)}
    asked_since = dict(facts.tried.asked_since)
    if not isinstance(offer.destination, AgentFacts):
        asked_since.setdefault(offer.destination.id, facts.at)
    return replace(facts, at=facts.at + offer.timeout, tried=Tried(how, asked_since))
