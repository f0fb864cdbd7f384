"""What follows when a person takes the app out of their Facebook account."""

from gateway.api.taking_over import take_over
from gateway.db.channel_writes import change_channel, find_connected_by, forget_who_connected
from gateway.db.logins import forget_logins
from gateway.db.page_tokens import forget_person
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelStatus, StatusReason
from gateway.messaging.channel_health import mark_channel


async def let_person_go(work: UnitOfWork, meta_app_id: str, user_id: str) -> int:
    """Erase a person's logins and tokens, and disconnect the channels that lived by them.

    Where another administrator's token for the Page is known, the channel lives on by it. Returns
    how many channels were disconnected. Doing it again changes nothing.
    """
    await forget_person(work.connection, meta_app_id, user_id)
    await forget_logins(work.connection, meta_app_id, user_id)
    await forget_who_connected(work.connection, meta_app_id, user_id)
    disconnected = 0
    for channel in await find_connected_by(work.connection, meta_app_id, user_id):
        if await take_over(work, channel, but=user_id):
            continue
        marked = await mark_channel(
            work, channel, ChannelStatus.DISCONNECTED, StatusReason.APP_REMOVED
        )
        if marked is None:
            # Somebody else's token came in meanwhile.
            continue
        await change_channel(
            work.connection, marked, now=work.now, page_access_token=None, connected_by=None
        )
        disconnected += 1
    return disconnected
