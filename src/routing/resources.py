"""An enquiry as outside sees it: in answers and in events."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from gateway.contracts.moments import rfc3339
from routing.enquiries import Enquiry
from routing.explanation import explain
from routing.repository import TimelineEntry


def enquiry_resource(enquiry: Enquiry) -> dict[str, Any]:
    """Return an enquiry's public form."""
    return {
        "id": enquiry.id,
        "channel_id": enquiry.channel_id,
        "conversation_id": enquiry.conversation_id,
        "contact_id": enquiry.contact_id,
        "status": enquiry.status.value,
        "destination": enquiry.destination,
        "agent": _agent(enquiry),
        "handled_by": None if enquiry.handled_by is None else enquiry.handled_by.value,
        "offers": [
            {
                "agent_id": offer.agent_id,
                "destination_id": offer.destination_id,
                "status": offer.status.value,
                "expires_at": _time(offer.expires_at),
            }
            for offer in enquiry.offers
        ],
        "queued_at": _time(enquiry.queued_at),
        "assignment": enquiry.assignment,
        "custom_info": enquiry.custom_info,
        "close_reason": enquiry.close_reason,
        "opened_at": rfc3339(enquiry.opened_at),
        "offered_at": _time(enquiry.offered_at),
        "accepted_at": _time(enquiry.accepted_at),
        "first_response_at": _time(enquiry.first_response_at),
        "closed_at": _time(enquiry.closed_at),
        "missed_at": _time(enquiry.missed_at),
        "followed_up_at": _time(enquiry.followed_up_at),
    }


def explained_assignment(enquiry: Enquiry) -> dict[str, Any] | None:
    """Return an enquiry's assignment with what it says in words."""
    if enquiry.assignment is None:
        return None
    destination = enquiry.destination or {}
    names = {destination["id"]: destination["name"]} if destination else {}
    return enquiry.assignment | {"explanation": explain(enquiry.assignment, names)}


def timeline_resource(entries: Iterable[TimelineEntry]) -> list[dict[str, Any]]:
    """Return a timeline's public form, oldest line first."""
    return [
        {
            "sequence": entry.sequence,
            "at": rfc3339(entry.at),
            "type": entry.type,
            "actor": entry.actor,
            "data": entry.data,
        }
        for entry in entries
    ]


def _agent(enquiry: Enquiry) -> dict[str, Any] | None:
    if enquiry.agent_id is None:
        return None
    return {"id": enquiry.agent_id, "kind": "agent", "name": enquiry.agent_name}


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
