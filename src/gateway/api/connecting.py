"""What has to be asked outside before a channel can be made or changed.

No transaction is open meanwhile. What comes back is what the channel's row has to hold.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from gateway.api.parts import ApiParts
from gateway.db.channel_writes import find_holder, secret_row
from gateway.db.meta_apps import MetaApp, get_app
from gateway.db.secrets import KeyRing
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelKind, ChannelStatus, StatusReason, status_with
from gateway.errors import (
    FieldFault,
    InvalidFieldsError,
    UpstreamFailedError,
)
from gateway.messaging.channel_status import already_connected
from gateway.meta.page_findings import AppAccess, ConnectedPage, PageRefusedError, Wanted
from gateway.net.challenge import challenge
from gateway.net.signing import generate_signing_secret

# Well within the lease of an idempotency key.
_CONNECT_BUDGET: Final = timedelta(seconds=40)
_TOKEN_PREFIX: Final = "cgt_"  # noqa: S105 - what every token begins with
_TOKEN_BYTES: Final = 32

URL_POINTER: Final = "/source/outgoing_webhook_url"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the outside said of a source.

    `columns` are values of the channel's row, `sealed` such that have to be encrypted first, and
    `shown` what the caller is shown this once. `human_agent` says whether the Page has that feature
    of Meta's.
    """

    columns: dict[str, Any]
    sealed: dict[str, str] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    trouble: StatusReason | None = None
    human_agent: bool = False

    @property
    def status(self) -> ChannelStatus:
        """The status that a channel has with such a source."""
        return status_with(self.trouble)

    def row_of(self, channel_id: str, keyring: KeyRing) -> dict[str, Any]:
        """Return the values of the row of a channel, its secrets encrypted."""
        sealed = {
            column: keyring.encrypt(secret, row=secret_row(channel_id, column))
            for column, secret in self.sealed.items()
        }
        return self.columns | sealed


async def check_source_is_free(
    work: UnitOfWork, kind: ChannelKind, source_id: str, *, but_for: str | None = None
) -> None:
    """Pass where no other channel, whosever it is, holds a Page or an Instagram account.

    Raises:
        PageAlreadyConnectedError: One does.
    """
    if await find_holder(work.connection, kind, source_id) not in (None, but_for):
        raise already_connected()


async def app_access(work: UnitOfWork, app_id: str) -> AppAccess:
    """Return what connecting in the name of an app needs.

    Raises:
        InvalidFieldsError: There is no such app.
    """
    app = await get_app(work.connection, app_id)
    if app is None:
        raise InvalidFieldsError(
            "There is no such Meta app.",
            faults=[FieldFault("/meta_app_id", "unknown-app", "There is no such Meta app.")],
        )
    return access_of(work, app)


def access_of(work: UnitOfWork, app: MetaApp) -> AppAccess:
    """Return what connecting in the name of an app needs."""
    secret, *_ = app.open_secrets(work.keyring)
    return AppAccess(app_id=app.app_id, secret=secret, version=app.graph_version)


async def ask_meta(
    parts: ApiParts, app: AppAccess, wanted: Wanted, *, page_name: str | None = None
) -> Asked:
    """Connect a Page and return what the channel's row has to hold.

    Raises:
        InvalidFieldsError: The token or the Page is not what it has to be.
        UpstreamFailedError: Meta did not answer.
    """
    try:
        page = await connect_page(parts, app, wanted)
    except PageRefusedError as error:
        raise InvalidFieldsError(
            error.detail,
            faults=[FieldFault(f"/source/{error.field}", error.code, error.detail)],
        ) from error
    return Asked(
        columns={
            "meta_app_id": app.app_id,
            "page_id": wanted.page_id,
            "page_name": page.name or page_name,
            # A token as such has nobody's login behind it; who connects by one says so.
            "connected_by": None,
            "subscribed_fields": list(page.subscribed_fields),
            "token_expires_at": page.expires_at,
            "token_warned_days": None,
        },
        sealed={"page_access_token": wanted.token.get_secret_value()},
        trouble=page.trouble,
        human_agent=page.human_agent,
    )


async def connect_page(parts: ApiParts, app: AppAccess, wanted: Wanted) -> ConnectedPage:
    """Connect a Page, within a budget for all of it.

    Raises:
        PageRefusedError: The token or the Page is not what it has to be.
        UpstreamFailedError: Meta did not answer.
    """
    try:
        async with asyncio.timeout(_CONNECT_BUDGET.total_seconds()):
            return await parts.pages.connect(app, wanted)
    except TimeoutError as error:
        raise UpstreamFailedError("Meta took too long to answer.") from error


async def ask_third_party(parts: ApiParts, *, source_name: str, url: str) -> Asked:
    """Challenge a third party's address and return what the channel's row has to hold.

    Raises:
        InvalidFieldsError: The address is malformed, leads where we do not go, or failed.
    """
    signing_secret = generate_signing_secret()
    await challenge_address(parts, url, [signing_secret])
    token = new_incoming_token()
    return Asked(
        columns={
            "source_name": source_name,
            "outgoing_webhook_url": url,
            "incoming_token_hash": incoming_token_hash(token),
        },
        sealed={"signing_secret": signing_secret},
        shown={"incoming_token": token, "signing_secret": signing_secret},
    )


async def challenge_address(
    parts: ApiParts,
    url: str,
    signing_secrets: Sequence[str],
    *,
    pointer: str = URL_POINTER,
    own_headers: Mapping[str, str] | None = None,
) -> int:
    """Check an address, challenge it, and return how many milliseconds that took.

    `own_headers` are those that whoever answers wants in each call.

    Raises:
        InvalidFieldsError: The address is malformed, leads where we do not go, or failed.
    """
    await parts.egress.check_address(url, pointer=pointer)
    return await challenge(
        parts.egress, url, signing_secrets, pointer=pointer, own_headers=own_headers
    )


def new_incoming_token() -> str:
    """Return a fresh token by which a third party posts to us."""
    return _TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)


def incoming_token_hash(token: str) -> bytes:
    """Return what is stored of an incoming token: its SHA-256, for it has 256 bits of its own."""
    return hashlib.sha256(token.encode()).digest()
