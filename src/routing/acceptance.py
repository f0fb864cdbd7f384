"""Accepts a channel's routing: its form, and that its destinations exist."""

from typing import Any

from gateway.db.unit_of_work import UnitOfWork
from routing.configuration import validate_routing
from routing.parties import require_destinations


class RoutingRules:
    """What the channels' resources ask of routing before they store a configuration."""

    async def accept(
        self, work: UnitOfWork, account_id: str, raw: object, *, pointer_prefix: str
    ) -> dict[str, Any]:
        """Return the configuration with its defaults filled in.

        Raises:
            InvalidFieldsError: It does not hold, or names destinations that the account does not
                have; pointers begin with the prefix.
        """
        routing = validate_routing(raw, pointer_prefix=pointer_prefix)
        await require_destinations(
            work.connection, account_id, routing, pointer_prefix=pointer_prefix
        )
        return routing
