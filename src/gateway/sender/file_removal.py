"""Deletes files from the media store, of which nothing tells any more."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from gateway.db.errands import Errand
from gateway.domain.backoff import RetrySchedule
from gateway.media_store import MediaStore
from gateway.messaging.files import PATH
from gateway.sender.duties import Done, Duty, Result

_SECONDS: Final = 15.0
_WAITS: Final = RetrySchedule(
    tuple(timedelta(seconds=each) for each in (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800))
)


class FileRemoval:
    """Does errands of the kind `remove_file`."""

    def __init__(self, open_store: Callable[[], MediaStore]) -> None:
        """Take how the store is opened: a sender that removes nothing needs none."""
        self._open_store = open_store

    def duty(self) -> Duty:
        """Return what the errands' runner has to know."""
        return Duty(run=self.run, seconds=_SECONDS, schedule=_WAITS)

    async def run(self, errand: Errand) -> Result:
        """Delete a file; one that is not there is deleted already."""
        await self._open_store().delete(errand.data[PATH])
        return Done()
