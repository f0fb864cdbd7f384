"""When a platform is asked what a contact is called."""

from datetime import datetime, timedelta
from typing import Final

from gateway.domain.channel import ChannelKind

# People rename themselves seldom; who has no name here may get one when the Page may read it.
_NAMED: Final = timedelta(days=30)
_NAMELESS: Final = timedelta(days=1)


def profile_is_due(
    kind: ChannelKind,
    source_contact_id: str,
    *,
    named: bool,
    asked_at: datetime | None,
    now: datetime,
) -> bool:
    """Say whether somebody who has just written is to be asked for at the platform.

    Third parties tell of their people themselves. Meta's ids of people are numbers; what else
    stands for somebody has no profile.
    """
    if kind is ChannelKind.THIRD_PARTY or not (
        source_contact_id.isascii() and source_contact_id.isdigit()
    ):
        return False
    return asked_at is None or now - asked_at >= (_NAMED if named else _NAMELESS)
