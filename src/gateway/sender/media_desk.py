"""Gets the media of a message ready, before the message's own call.

Messenger gets a file once for each Page, by upload, and its id from then on. Instagram and third
parties get an address of ours, so what a message names by somebody else's address is fetched into
the media store first. None of this shows the contact anything: it may be done twice, by whichever
process, and what does not work is simply tried again.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final
from weakref import WeakValueDictionary

import structlog

from gateway.db.channels import Channel, get_channel
from gateway.db.conversations import lock_conversations
from gateway.db.deliveries import Due
from gateway.db.failures import is_transient, name_of
from gateway.db.media import Media, get_media, insert_media
from gateway.db.messages import Message, get_message
from gateway.db.meta_apps import MetaApp, get_app
from gateway.db.page_attachments import (
    find_page_attachment,
    forget_page_attachment,
    keep_page_attachment,
)
from gateway.db.secrets import UndecryptableError
from gateway.db.unit_of_work import Database
from gateway.domain import ids
from gateway.domain.channel import ChannelKind, ChannelStatus
from gateway.domain.delivery import Answer, DeliveryKind, Refused, Retry
from gateway.domain.media import LARGEST_BYTES, kind_of
from gateway.domain.media_policy import refuse_media
from gateway.media_store import MediaStore
from gateway.messaging.contents import describe_media
from gateway.messaging.page_access import page_access
from gateway.meta.graph import PageAccess
from gateway.meta.uploading import ATTACHMENT_LIFE, AttachmentUploads, PageFile
from gateway.sender.attempts import Ended, Readiness
from gateway.sender.fetching import Fetched, FetchFailedError, Fetching
from gateway.sender.media_answers import failed, refused, unfetched
from gateway.sender.metrics import MEDIA_READY
from gateway.sender.page import NOTHING_TO_SEND, UNREADABLE_SECRET

KINDS: Final = frozenset({"image", "audio", "video", "file"})
# A message to many names the same address many times.
_ADDRESS_KEPT_SECONDS: Final = 60.0
_ADDRESSES_KEPT: Final = 10_000
# Meta: the attachment's id is unknown, another Page's, or older than 90 days.
_UNKNOWN_ATTACHMENT: Final = "meta-100-2018074"
_UPLOADED_ANEW: Final = 3

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Case:
    """A message whose media is wanted, and what belongs to it."""

    message: Message
    channel: Channel
    app: MetaApp | None
    media: Media | None

    @property
    def content(self) -> Mapping[str, Any]:
        return self.message.content

    @property
    def kind(self) -> str:
        return str(self.content["type"])

    @property
    def key(self) -> tuple[str, str, str]:
        source = self.content["url"] if self.media is None else self.media.sha256
        return self.channel.id, self.kind, source


class _UnfitError(Exception):
    """The media cannot be sent as the message wants it; `answer` says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.outcome.name)
        self.answer = answer


class MediaDesk:
    """Gets media ready, each file of a Page once."""

    def __init__(
        self,
        database: Database,
        store: MediaStore,
        fetching: Fetching,
        uploads: AttachmentUploads,
        *,
        seconds: float,
    ) -> None:
        """Take what it works with; `seconds` is how long getting one file ready may take."""
        self._database = database
        self._store = store
        self._fetching = fetching
        self._uploads = uploads
        self._seconds = seconds
        # Whoever wants the same file waits for it.
        self._turns: WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = WeakValueDictionary()
        self._recent: OrderedDict[tuple[str, str, str], tuple[float, str]] = OrderedDict()

    @staticmethod
    def wants(due: Due) -> bool:
        """Say whether a delivery has media that may have to be got ready."""
        return due.kind is DeliveryKind.MESSAGE and due.content_type in KINDS

    async def prepare(self, due: Due, *, on_call: Callable[[], None]) -> Readiness:
        """Get a delivery's media ready; what fails is in the answer.

        `on_call` is told of each call that the platform counts.

        Raises:
            Exception: The database failed in a way that passes.
        """
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._seconds):
                readiness = await self._prepare(due, on_call)
        except _UnfitError as error:
            readiness = Readiness(answer=error.answer)
        except TimeoutError:
            readiness = Readiness(answer=failed("The file could not be passed on in time."))
        except Exception as error:
            if is_transient(error):
                raise
            log.exception("media.not_ready", delivery_id=due.id)
            readiness = Readiness(answer=failed("The gateway failed in fetching the file."))
        if readiness.answer is not None:
            took = round((time.monotonic() - started) * 1000)
            readiness = Readiness(answer=replace(readiness.answer, milliseconds=took))
        MEDIA_READY.labels("ready" if readiness.answer is None else "failed").inc()
        return readiness

    async def reconsider(self, ended: Ended) -> Ended:
        """Forget an id that Meta no longer knows, so that the next attempt uploads anew."""
        outcome, readiness = ended.answer.outcome, ended.attempt.readiness
        if (
            not isinstance(outcome, Refused)
            or outcome.error.code != _UNKNOWN_ATTACHMENT
            or readiness is None
            or readiness.attachment_id is None
        ):
            return ended
        delivery = ended.attempt.delivery
        for key, (_, kept) in list(self._recent.items()):
            if kept == readiness.attachment_id:
                del self._recent[key]
        try:
            async with self._database.unit_of_work() as work:
                await forget_page_attachment(
                    work.connection,
                    delivery.account_id,
                    delivery.target_id,
                    readiness.attachment_id,
                )
        except Exception as error:  # noqa: BLE001 - the next attempt meets it again
            log.warning("media.not_forgotten", error=name_of(error))
        again = Retry(replace(outcome.error, retryable=True), tries=_UPLOADED_ANEW)
        return replace(ended, answer=replace(ended.answer, outcome=again))

    async def _prepare(self, due: Due, on_call: Callable[[], None]) -> Readiness:
        case = await self._look(due)
        if case is None:
            # The claim sees to it: the message is gone, held or too late.
            return Readiness()
        if case.media is None and "media_id" in case.content:
            raise _UnfitError(refused("The file is not kept any more."))
        if case.channel.kind is not ChannelKind.MESSENGER:
            if case.media is None:
                await self._take_in(case)
            return Readiness()
        if case.app is None:
            raise _UnfitError(Answer(outcome=Retry(NOTHING_TO_SEND)))
        return Readiness(attachment_id=await self._attachment(case, case.app, on_call))

    async def _look(self, due: Due) -> _Case | None:
        async with self._database.unit_of_work() as work:
            message = await get_message(work.connection, due.account_id, due.message_id or "")
            channel = await get_channel(work.connection, due.account_id, due.target_id)
            if message is None or channel is None or message.content.get("type") not in KINDS:
                return None
            late = due.deadline_at is not None and work.now > due.deadline_at
            if late or channel.hold is not None or channel.status is ChannelStatus.DELETED:
                return None
            media_id = message.content.get("media_id")
            return _Case(
                message,
                channel,
                await get_app(work.connection, channel.meta_app_id or ""),
                None
                if media_id is None
                else await get_media(work.connection, due.account_id, media_id),
            )

    async def _attachment(self, case: _Case, app: MetaApp, on_call: Callable[[], None]) -> str:
        """Return Meta's id of a message's file, uploaded now if need be."""
        turn = self._turns.setdefault(case.key, asyncio.Lock())
        async with turn:
            known = await self._known(case)
            if known is not None:
                return known
            access = self._access(case, app)
            async with self._file(case) as fetched:
                self._check(case, fetched)
                attachment_id = await self._find(case, fetched.sha256)
                if attachment_id is None:
                    on_call()
                    attachment_id = await self._upload(case, access, fetched)
            if case.media is None:
                self._remember(case, attachment_id)
            return attachment_id

    async def _known(self, case: _Case) -> str | None:
        if case.media is not None:
            return await self._find(case, case.media.sha256)
        until, attachment_id = self._recent.get(case.key, (0.0, ""))
        return attachment_id if time.monotonic() < until else None

    async def _find(self, case: _Case, sha256: str) -> str | None:
        async with self._database.unit_of_work() as work:
            return await find_page_attachment(
                work.connection,
                case.message.account_id,
                case.channel.id,
                sha256=sha256,
                kind=case.kind,
                since=work.now - ATTACHMENT_LIFE,
                now=work.now,
            )

    async def _upload(self, case: _Case, access: PageAccess, fetched: Fetched) -> str:
        uploaded = await self._uploads.upload(
            access,
            PageFile(
                kind=case.kind,
                mime_type=fetched.mime_type,
                name=fetched.name,
                file=fetched.file,
            ),
            # The whole has less left than this, and ends it.
            budget=timedelta(seconds=self._seconds),
        )
        if isinstance(uploaded, Answer):
            raise _UnfitError(uploaded)
        async with self._database.unit_of_work() as work:
            await keep_page_attachment(
                work.connection,
                case.message.account_id,
                case.channel.id,
                sha256=fetched.sha256,
                kind=case.kind,
                attachment_id=uploaded,
                now=work.now,
            )
        return uploaded

    async def _take_in(self, case: _Case) -> None:
        """Put what a message's address has into the media store, and let the message name it."""
        message = case.message
        async with self._file(case) as fetched:
            self._check(case, fetched)
            media_id = ids.new_id(ids.MEDIA)
            path = await self._store.put(message.account_id, media_id, fetched.file)
        taken = False
        try:
            async with self._database.unit_of_work() as work:
                locked = await lock_conversations(
                    work, [message.conversation_id], account_id=message.account_id
                )
                present = await get_message(work.connection, message.account_id, message.id)
                if present is not None and present.content == message.content:
                    media = Media(
                        account_id=message.account_id,
                        id=media_id,
                        mime_type=fetched.mime_type,
                        name=fetched.name,
                        size=fetched.size,
                        sha256=fetched.sha256,
                        path=path,
                        created_at=work.now,
                        contact_id=locked[message.conversation_id].contact_id,
                    )
                    await insert_media(work.connection, media)
                    content = {**present.content, **describe_media(media)}
                    await work.change_message(present, content=content)
                    taken = True
        finally:
            if not taken:
                await self._store.delete(path)

    def _file(self, case: _Case) -> AbstractAsyncContextManager[Fetched]:
        if case.media is not None:
            return _explained(self._fetching.from_store(case.media))
        url = str(case.content["url"])
        # The upload needs some of the time.
        seconds = self._seconds / 2
        return _explained(self._fetching.from_address(url, limit=LARGEST_BYTES, seconds=seconds))

    def _check(self, case: _Case, fetched: Fetched) -> None:
        kind = case.kind
        if kind not in ("file", kind_of(fetched.mime_type)):
            detail = f"The file is of the type {fetched.mime_type}, which is no {kind}."
            raise _UnfitError(refused(detail))
        refusal = refuse_media(
            case.channel.media_policy,
            kind,
            mime_type=fetched.mime_type,
            size=fetched.size,
            instagram=case.channel.kind is ChannelKind.INSTAGRAM,
        )
        if refusal is not None:
            raise _UnfitError(refused(refusal))

    def _access(self, case: _Case, app: MetaApp) -> PageAccess:
        try:
            return page_access(self._database.keyring, case.channel, app)
        except UndecryptableError as error:
            log.error("secret.undecryptable", channel_id=case.channel.id)  # noqa: TRY400 - no traceback: it might show the secret
            raise _UnfitError(Answer(outcome=Retry(UNREADABLE_SECRET))) from error

    def _remember(self, case: _Case, attachment_id: str) -> None:
        self._recent[case.key] = (time.monotonic() + _ADDRESS_KEPT_SECONDS, attachment_id)
        self._recent.move_to_end(case.key)
        if len(self._recent) > _ADDRESSES_KEPT:
            self._recent.popitem(last=False)


@asynccontextmanager
async def _explained(
    fetching: AbstractAsyncContextManager[Fetched],
) -> AsyncIterator[Fetched]:
    """Give a fetched file; why it cannot be had becomes an answer for the message."""
    try:
        async with fetching as fetched:
            yield fetched
    except FetchFailedError as error:
        raise _UnfitError(unfetched(error)) from error
