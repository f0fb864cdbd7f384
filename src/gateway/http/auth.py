"""Who calls, and what they may do."""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import parse_qsl

from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.requests import Request

from gateway.db.api_keys import find_key
from gateway.db.unit_of_work import Database
from gateway.errors import ForbiddenError, InsufficientScopeError, UnauthenticatedError
from gateway.http.api_keys import PREFIX, ApiKey, parse_key

Scope: TypeAlias = Literal["read", "write", "send", "admin", "instance"]
# What a key of an account can be made with; `admin` implies the others.
ACCOUNT_SCOPES: Final = ("read", "write", "send", "admin")

_NO_DIGEST: Final = hashlib.sha256(b"no key has this secret").digest()


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: an API key of an account, or the instance's administrator (no account)."""

    key_id: str
    account_id: str | None
    scopes: frozenset[str]

    @property
    def owner(self) -> str:
        """Whose idempotency keys these are."""
        return self.account_id or "instance"

    def require(self, scopes: Iterable[str]) -> None:
        """Pass where one of the scopes is held.

        Raises:
            InsufficientScopeError: The account's key was made without them.
            ForbiddenError: The call needs the other kind of key.
        """
        wanted = tuple(scopes)
        enough = {*wanted, "admin"} if {*wanted} & {*ACCOUNT_SCOPES} else {*wanted}
        if self.scopes & enough:
            return
        if self.account_id is None:
            raise ForbiddenError("The administrator's key is for instance calls only.")
        if wanted == ("instance",):
            raise ForbiddenError("Only the instance's administrator may call this.")
        raise InsufficientScopeError(f"This call needs the scope `{wanted[0]}`.")


class Authenticator:
    """Tells who a bearer token belongs to."""

    def __init__(self, database: Database, *, admin_key: str) -> None:
        self._database = database
        self._admin_digest = _sha256(admin_key) if admin_key else None

    async def principal(self, request: Request) -> Principal:
        """Return who calls.

        Raises:
            UnauthenticatedError: There is no credential, one that does not hold, or one in the
                address.
        """
        self._refuse_keys_in(request.url.query)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise UnauthenticatedError("Send `Authorization: Bearer <API key>`.")
        if self._is_admin(token):
            return Principal("admin", None, frozenset({"instance"}))
        key = parse_key(token)
        principal = None if key is None else await self._holder(key)
        if principal is None:
            raise UnauthenticatedError("This API key is not valid.")
        return principal

    async def _holder(self, key: ApiKey) -> Principal | None:
        async with self._database.unit_of_work() as work:
            row = await find_key(work.connection, key.id)
            now = work.now
        # Unknown ids cost the same comparisons as known ones.
        current = hmac.compare_digest(key.digest, _NO_DIGEST if row is None else row.secret_hash)
        previous = hmac.compare_digest(
            key.digest, (None if row is None else row.previous_secret_hash) or _NO_DIGEST
        )
        if row is None:
            return None
        rotating = row.previous_expires_at is not None and now < row.previous_expires_at
        if current or (previous and rotating):
            return Principal(row.id, row.account_id, frozenset(row.scopes))
        return None

    def _is_admin(self, token: str) -> bool:
        return self._admin_digest is not None and hmac.compare_digest(
            _sha256(token), self._admin_digest
        )

    def _refuse_keys_in(self, query: str) -> None:
        values = [value for pair in parse_qsl(query, keep_blank_values=True) for value in pair]
        if any(value.startswith(f"{PREFIX}_") or self._is_admin(value) for value in values):
            raise UnauthenticatedError(
                "An API key does not belong in an address, which logs keep. Rotate this one, and "
                "send it in the `Authorization` header."
            )


class ApiKeyScheme(SecurityBase):
    """Documents the bearer key; `gateway.http.routes` has checked it before anything is read."""

    def __init__(self) -> None:
        self.model = HTTPBearer(
            bearerFormat=f"{PREFIX}_<id>_<secret>",
            description="An API key of an account; instance calls need the key of "
            "`GATEWAY_ADMIN_KEY`.",
        )
        self.scheme_name = "ApiKey"

    async def __call__(self, request: Request) -> Principal:
        """Return who calls."""
        principal: Principal = request.state.principal
        return principal


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
