"""What answers on a channel: people by its rule, one bot, or one endpoint."""

from typing import Any, Final

from gateway.api.channel_bodies import LinkSettings
from gateway.db.links import hold_bot, hold_endpoint
from gateway.db.unit_of_work import UnitOfWork
from gateway.errors import FieldFault, InvalidFieldsError

_NOUNS: Final = {"bot": "bot", "external_endpoint": "endpoint"}
_HOLD: Final = {"bot": hold_bot, "external_endpoint": hold_endpoint}


async def hold_linked(work: UnitOfWork, account_id: str, link: LinkSettings) -> dict[str, Any]:
    """Return a link as a channel's row holds it; what it names stays until the transaction ends.

    Raises:
        InvalidFieldsError: It names nothing that exists, or what is not of its mode.
    """
    named = {"bot": link.bot_id, "external_endpoint": link.endpoint_id}
    row: dict[str, Any] = {"mode": link.mode}
    faults = [
        _fault(mode, "not-of-this-mode", f"Only the mode `{mode}` names one of these.")
        for mode, destination_id in named.items()
        if mode != link.mode and destination_id is not None
    ]
    if link.mode in named:
        destination_id = named[link.mode]
        row[f"{_NOUNS[link.mode]}_id"] = destination_id
        if destination_id is None:
            faults.append(_fault(link.mode, "missing", "This mode needs one."))
        elif not await _HOLD[link.mode](work.connection, account_id, destination_id):
            noun = _NOUNS[link.mode]
            faults.append(_fault(link.mode, f"unknown-{noun}", f"There is no such {noun}."))
    if faults:
        raise InvalidFieldsError("The link does not hold.", faults=faults)
    return row


def _fault(mode: str, code: str, detail: str) -> FieldFault:
    return FieldFault(f"/link/{_NOUNS[mode]}_id", code, detail)
