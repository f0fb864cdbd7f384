"""Lists of channels inside of other things."""

from gateway.db.destinations import find_unknown_channels
from gateway.db.unit_of_work import UnitOfWork
from gateway.errors import FieldFault, InvalidFieldsError


async def check_channel_ids(work: UnitOfWork, account_id: str, channel_ids: list[str]) -> None:
    """Pass where all of these channels are the account's.

    Raises:
        InvalidFieldsError: Some are not.
    """
    unknown = await find_unknown_channels(work.connection, account_id, channel_ids)
    if unknown:
        detail = "There is no such channel."
        raise InvalidFieldsError(
            "Some of the channels do not exist.",
            faults=[
                FieldFault(f"/channel_ids/{place}", "unknown-channel", detail)
                for place, channel_id in enumerate(channel_ids)
                if channel_id in unknown
            ],
        )
