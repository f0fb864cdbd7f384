"""Learns of changes outside conversations that may move enquiries.

Whoever changes an agent, an endpoint, a channel or an account calls this in the same transaction,
after the change. No conversation is touched here: what follows happens by timers, one conversation
each.
"""

from datetime import timedelta
from typing import Final

from gateway.db.timers import clear_timer, set_timer
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids
from routing.destinations import Presence
from routing.hall import offer_room
from routing.moving import move_running
from routing.parties import lock_accounts, lock_agents
from routing.waiting import (
    CLOSE_TIMER,
    close_channel,
    find_waiting,
    tell_asked,
    tell_channel,
    tell_first_queued,
    tell_team,
    tell_waiting,
)

PRESENCE_TIMER: Final = "presence"
# Longer than any transaction may last that still sees the channel alive.
_LAST_OPENINGS: Final = timedelta(seconds=15)


class RoutingChanges:
    """What the rest of the product tells routing."""

    async def presence_changed(self, work: UnitOfWork, account_id: str, agent_id: str) -> None:
        """Consider anew the enquiries that wait for an agent, or are offered to one.

        To be called, too, when an agent's capacity or channels have changed, or it was deleted.
        """
        agent = (await lock_agents(work.connection, [(account_id, agent_id)])).get(agent_id)
        if agent is None:
            return
        if agent.presence_expires_at is None or agent.deleted_at is not None:
            await clear_timer(work, account_id=account_id, kind=PRESENCE_TIMER, subject_id=agent_id)
        else:
            await set_timer(
                work,
                account_id=account_id,
                kind=PRESENCE_TIMER,
                subject_id=agent_id,
                due_at=agent.presence_expires_at,
            )
        if agent.can_be_asked(work.now):
            await offer_room(work, [agent])
            if agent.channel_ids:
                await tell_asked(work, account_id, agent_id, served=agent.channel_ids)
        else:
            await tell_asked(work, account_id, agent_id)
        if agent.presence_at(work.now) is Presence.OFFLINE:
            # Perhaps nobody is there any more for whom they could wait.
            waiting = await find_waiting(work.connection, account_id, agent_id)
            await tell_waiting(work, account_id, agent_id, waiting)

    async def destination_changed(
        self, work: UnitOfWork, account_id: str, destination_id: str
    ) -> None:
        """Consider anew what waits for a destination that was changed, paused or deleted."""
        if ids.is_id(ids.AGENT, destination_id):
            await self.presence_changed(work, account_id, destination_id)
        elif ids.is_id(ids.TEAM, destination_id):
            await lock_accounts(work.connection, [account_id])
            await tell_team(work, account_id, destination_id)
        else:
            waiting = await find_waiting(work.connection, account_id, destination_id, once=False)
            await tell_waiting(work, account_id, destination_id, waiting)

    async def routing_changed(self, work: UnitOfWork, account_id: str, channel_id: str) -> None:
        """Route anew what waits on a channel whose routing was changed."""
        await tell_channel(work, account_id, channel_id)

    async def link_moved(self, work: UnitOfWork, account_id: str, channel_id: str) -> None:
        """Move what runs on a channel to what its link says now."""
        await move_running(work, account_id, channel_id)

    async def contacts_limit_changed(self, work: UnitOfWork, account_id: str) -> None:
        """Let in who waits outside an account that may have more places now."""
        await tell_first_queued(work, await lock_accounts(work.connection, [account_id]))

    async def channel_deleted(self, work: UnitOfWork, account_id: str, channel_id: str) -> None:
        """Close the enquiries of a channel that live, and those that are just being opened."""
        await close_channel(work, account_id, channel_id)
        await set_timer(
            work,
            account_id=account_id,
            kind=CLOSE_TIMER,
            subject_id=channel_id,
            due_at=work.now + _LAST_OPENINGS,
        )
