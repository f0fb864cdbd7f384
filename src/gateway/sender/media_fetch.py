"""Fetches what contacts sent into the media store, before its address dies."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from gateway.db.errands import Errand
from gateway.db.media import Media
from gateway.db.messages import get_message
from gateway.db.unit_of_work import Database, UnitOfWork
from gateway.domain.backoff import RetrySchedule
from gateway.domain.inbound_media import fits, is_pending
from gateway.domain.media import LARGEST_INBOUND_BYTES
from gateway.media_store import MediaStore, path_of
from gateway.messaging.files import remove_paths
from gateway.messaging.inbound_media import give_up_fetching, keep_fetched
from gateway.sender.duties import Again, Done, Duty, Impossible, Result
from gateway.sender.fetching import FetchFailedError, Fetching

_FETCH_SECONDS: Final = 60.0
_STORE_SECONDS: Final = 30.0
# Meta's addresses live for days; a file that cannot be had within one is given up.
_WAITS: Final = RetrySchedule(
    tuple(timedelta(seconds=each) for each in (5, 30, 120, 600, 3600, 21_600, 43_200))
)
_AT_ONCE: Final = 16
_REASONS: Final = {"not-supported": "type-not-supported"}


class MediaFetch:
    """Does errands of the kind `media_fetch`."""

    def __init__(self, database: Database, store: MediaStore, fetching: Fetching) -> None:
        self._database = database
        self._store = store
        self._fetching = fetching

    def duty(self) -> Duty:
        """Return what the errands' runner has to know."""
        return Duty(
            run=self.fetch,
            seconds=_FETCH_SECONDS + _STORE_SECONDS,
            schedule=_WAITS,
            at_once=_AT_ONCE,
            given_up=self.give_up,
        )

    async def fetch(self, errand: Errand) -> Result:
        """Fetch one attachment of a message into the store."""
        message_id, place = errand.data["message_id"], errand.data["place"]
        async with self._database.unit_of_work() as work:
            message = await get_message(work.connection, errand.account_id, message_id)
            now = work.now
        attachments = None if message is None else message.content.get("attachments")
        if not is_pending(attachments, place):
            return Done()
        assert isinstance(attachments, list)
        try:
            fetched = await self._fetch(errand, attachments[place], now=now)
        except FetchFailedError as error:
            reason = _REASONS.get(error.reason, error.reason)
            return Again(reason) if error.retryable else Impossible(reason)
        return Done(
            partial(
                keep_fetched,
                account_id=errand.account_id,
                message_id=message_id,
                place=place,
                media=fetched,
            )
        )

    async def _fetch(
        self, errand: Errand, attachment: Mapping[str, Any], *, now: datetime
    ) -> Media:
        """Put an attachment's file into the store and return what is known of it.

        Raises:
            FetchFailedError: It cannot be had, or is not what the attachment is.
        """
        async with self._fetching.from_address(
            attachment["url"], limit=LARGEST_INBOUND_BYTES, seconds=_FETCH_SECONDS
        ) as fetched:
            if not fits(attachment["type"], fetched.mime_type):
                raise FetchFailedError("The file is of another type.", reason="not-supported")
            media_id = errand.data["media_id"]
            return Media(
                account_id=errand.account_id,
                id=media_id,
                mime_type=fetched.mime_type,
                name=fetched.name,
                size=fetched.size,
                sha256=fetched.sha256,
                path=await self._store.put(errand.account_id, media_id, fetched.file),
                created_at=now,
            )

    async def give_up(self, work: UnitOfWork, errand: Errand, reason: str) -> None:
        """Let the message say why it has no file; what an attempt may have stored goes."""
        await give_up_fetching(
            work,
            errand.account_id,
            errand.data["message_id"],
            errand.data["place"],
            reason=reason,
        )
        media_id = errand.data["media_id"]
        path = path_of(errand.account_id, media_id)
        await remove_paths(work, errand.account_id, {media_id: path})
