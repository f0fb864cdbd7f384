"""Begins logins, and binds them to the browser that goes through with them."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from gateway.api.parts import ApiParts
from gateway.db.logins import Login, change_login, get_login, insert_login, last_scopes
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids
from gateway.domain.login import STATE_LIFE, LoginState, missing_permissions
from gateway.errors import FieldFault, InvalidFieldsError

_BYTES: Final = 32
_REPEATABLE: Final = (LoginState.STARTED, LoginState.DENIED, LoginState.FAILED, LoginState.GRANTED)


@dataclass(frozen=True, slots=True)
class Nonce:
    """What the dialog gives back, `<login>.<secret>`: by it a login is found, once."""

    login_id: str
    secret: str

    def __str__(self) -> str:
        """Return it as the dialog is given it."""
        return f"{self.login_id}.{self.secret}"

    @classmethod
    def parse(cls, text: str) -> "Nonce | None":
        """Return what a browser brought back, or None where it cannot be one."""
        login_id, dot, secret = text.partition(".")
        return cls(login_id, secret) if dot and ids.is_id(ids.LOGIN, login_id) and secret else None


async def start_login(
    work: UnitOfWork,
    parts: ApiParts,
    account_id: str,
    key_id: str,
    *,
    meta_app_id: str,
    channel_id: str | None,
    return_url: str | None,
) -> Login:
    """Write down that somebody is going to log in.

    Raises:
        InvalidFieldsError: The address to return to is not of an origin that is allowed.
    """
    if return_url is not None and origin_of(return_url) not in parts.login_settings.return_origins:
        detail = "A login may not return to this address."
        raise InvalidFieldsError(
            detail, faults=[FieldFault("/return_url", "origin-not-allowed", detail)]
        )
    scopes = await last_scopes(work.connection, account_id, meta_app_id)
    login = Login(
        account_id=account_id,
        id=ids.new_id(ids.LOGIN),
        meta_app_id=meta_app_id,
        key_id=key_id,
        channel_id=channel_id,
        return_url=return_url,
        state=LoginState.STARTED,
        error=None,
        asks_again=scopes is not None and bool(missing_permissions(scopes)),
        browser_hash=None,
        nonce_hash=None,
        user_id=None,
        scopes=[],
        pages=[],
        lost=[],
        expires_at=work.now + STATE_LIFE,
        created_at=work.now,
    )
    await insert_login(work.connection, login, now=work.now)
    return login


def origin_of(url: str) -> str | None:
    """Return the origin of a web address, or None where it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if port is None else f":{port}")


def new_cookie() -> str:
    """Return what a browser is told apart by."""
    return secrets.token_urlsafe(_BYTES)


async def bind_browser(
    work: UnitOfWork, login: Login, cookie: str, *, asks_again: bool
) -> Nonce | None:
    """Let a browser go through with a login; return what the dialog is given.

    The browser that comes last has it. None where the login's time is over.
    """
    if login.state not in _REPEATABLE or work.now > login.expires_at:
        return None
    nonce = Nonce(login.id, secrets.token_urlsafe(_BYTES))
    granted = login.state is LoginState.GRANTED
    await change_login(
        work.connection,
        login,
        now=work.now,
        # What was granted stays until something else is.
        state=LoginState.GRANTED if granted else LoginState.STARTED,
        error=None,
        expires_at=work.now + STATE_LIFE,
        asks_again=login.asks_again or asks_again,
        browser_hash=_digest(cookie),
        nonce_hash=_digest(nonce.secret),
    )
    return nonce


async def take_back(work: UnitOfWork, nonce: Nonce, cookie: str | None) -> Login | None:
    """Use up what the dialog gave back, and return its login.

    None, and nothing is used up, where it was used before, its time is over, or it comes from
    another browser than the one that began.
    """
    login = await get_login(work.connection, nonce.login_id, lock=True)
    if login is None or work.now > login.expires_at or not is_of_browser(login, cookie):
        return None
    if login.nonce_hash is None or not _same(login.nonce_hash, nonce.secret):
        return None
    return await change_login(work.connection, login, now=work.now, nonce_hash=None)


def is_of_browser(login: Login, cookie: str | None) -> bool:
    """Say whether a browser is the one that went through with a login."""
    return (
        cookie is not None and login.browser_hash is not None and _same(login.browser_hash, cookie)
    )


def form_token(login: Login, cookie: str) -> str:
    """Return what shows that a form was sent from a page that this browser was given."""
    return hmac.new(cookie.encode(), login.id.encode(), hashlib.sha256).hexdigest()


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode()).digest()


def _same(digest: bytes, value: str) -> bool:
    return hmac.compare_digest(bytes(digest), _digest(value))
