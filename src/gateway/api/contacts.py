"""Contacts: the people behind the sources' ids."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi import Body as FromBody
from pydantic import AfterValidator, Field, StringConstraints

from gateway.api.channel_resources import existing_channel
from gateway.api.filters import ChannelFilter, Search
from gateway.contracts.canonical import compact, scrub
from gateway.contracts.resources import Contact as ContactResource
from gateway.contracts.strict import WebAddress
from gateway.db.audit import AuditEntry, write_audit
from gateway.db.contacts import Contact, change_contact, get_contact, list_contacts
from gateway.db.first_contact import contact_resource
from gateway.db.outbox import NewEvent
from gateway.db.unit_of_work import UnitOfWork
from gateway.errors import NotFoundError
from gateway.http.pagination import Paging
from gateway.http.patches import Patch
from gateway.http.routes import READ, WRITE, AccountId, Caller, GatewayRoute, Work
from gateway.http.schemas import Body, Line, Page
from gateway.http.versions import IfMatch, tag_version
from gateway.messaging.erasure import request_erasure

router = APIRouter(prefix="/v1/contacts", tags=["Contacts"], route_class=GatewayRoute)

_MAX_ATTRIBUTES = 16 * 1024


def _are_attributes(value: dict[str, Any]) -> dict[str, Any]:
    if scrub(value) != value:
        raise ValueError("Text must not contain NUL characters or lone surrogates")
    if len(compact(value)) > _MAX_ATTRIBUTES:
        raise ValueError(f"All attributes together have at most {_MAX_ATTRIBUTES} bytes")
    return value


class ContactSettings(Body):
    """What can be set of a contact; what its source tells later replaces it."""

    name: Line | None = None
    first_name: Line | None = None
    last_name: Line | None = None
    email: Annotated[Line, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$")] | None = None
    phone: Annotated[Line, StringConstraints(max_length=50)] | None = None
    avatar_url: WebAddress | None = None
    locale: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{2,35}$")] | None = None
    attributes: Annotated[dict[str, Any], AfterValidator(_are_attributes)] = Field(
        default={}, description="Whatever belongs to the contact.", examples=[{"tier": "gold"}]
    )


class ShownContact(ContactResource):
    """The person behind an id of a source."""

    version: int


@router.get("", dependencies=[READ])
async def list_all_contacts(
    account_id: AccountId,
    work: Work,
    paging: Paging,
    search: Search = None,
    channel_id: ChannelFilter = None,
    blocked: Annotated[bool | None, Query(description="Only blocked ones, or only others.")] = None,
) -> Page[ShownContact]:
    """List contacts, the newest first."""
    place = paging.place("contacts", str)
    rows = await list_contacts(
        work.connection,
        account_id,
        channel_id=channel_id,
        search=search,
        blocked=blocked,
        before=None if place is None else place[0],
        limit=paging.limit + 1,
    )
    contacts, cursor = paging.page(rows, "contacts", lambda contact: [contact.id])
    return Page(data=[_resource(contact) for contact in contacts], next_cursor=cursor)


@router.get("/{contact_id}", dependencies=[READ])
async def read_contact(
    contact_id: str, account_id: AccountId, work: Work, response: Response
) -> ShownContact:
    """Read a contact."""
    return _shown(await existing_contact(work, account_id, contact_id), response)


@router.patch("/{contact_id}", dependencies=[WRITE])
async def change_contact_profile(
    contact_id: str,
    body: Annotated[Patch[ContactSettings], FromBody()],
    account_id: AccountId,
    work: Work,
    if_match: IfMatch,
    response: Response,
) -> ShownContact:
    """Change what is known of a contact."""
    contact = await existing_contact(work, account_id, contact_id, lock=True)
    if_match.check(contact.version)
    present = {name: getattr(contact, name) for name in ContactSettings.model_fields}
    wanted = body.apply_to(ContactSettings.model_construct(**present))
    changed = await change_contact(work.connection, contact, now=work.now, **wanted.model_dump())
    _announce(work, changed, "updated")
    return _shown(changed, response)


@router.post("/{contact_id}/block", dependencies=[WRITE])
async def block_contact(
    contact_id: str, account_id: AccountId, work: Work, response: Response
) -> ShownContact:
    """Block a contact: nothing is sent to it, and nothing that it writes opens an enquiry."""
    return _shown(await _block(work, account_id, contact_id, blocked=True), response)


@router.post("/{contact_id}/unblock", dependencies=[WRITE])
async def unblock_contact(
    contact_id: str, account_id: AccountId, work: Work, response: Response
) -> ShownContact:
    """Unblock a contact."""
    return _shown(await _block(work, account_id, contact_id, blocked=False), response)


@router.delete("/{contact_id}", status_code=202, dependencies=[WRITE])
async def erase_contact(
    contact_id: str, account_id: AccountId, caller: Caller, work: Work
) -> Response:
    """Erase a contact: what it said and is called goes within a minute, and nobody can tell it.

    Its conversation, enquiries and messages stay as empty shells, so that reports and numbers do.
    `gateway.contact.erased.v1` asks receivers to delete theirs. Should the person write again, they
    are a new contact.
    """
    if await request_erasure(work, account_id, contact_id):
        entry = AuditEntry(
            account_id=account_id,
            at=work.now,
            actor=caller.key_id,
            action="contact.erased",
            subject_id=contact_id,
        )
        await write_audit(work.connection, [entry])
    return Response(status_code=202)


async def existing_contact(
    work: UnitOfWork, account_id: str, contact_id: str, *, lock: bool = False
) -> Contact:
    """Return a contact of an account.

    Raises:
        NotFoundError: There is none.
    """
    contact = await get_contact(work.connection, account_id, contact_id, lock=lock)
    if contact is None or contact.erased_at is not None:
        raise NotFoundError("There is no such contact.")
    return contact


async def _block(work: UnitOfWork, account_id: str, contact_id: str, *, blocked: bool) -> Contact:
    contact = await existing_contact(work, account_id, contact_id, lock=True)
    await existing_channel(work, account_id, contact.channel_id, alive=True)
    if contact.blocked == blocked:
        return contact
    changed = await change_contact(
        work.connection, contact, now=work.now, blocked_at=work.now if blocked else None
    )
    _announce(work, changed, "blocked" if blocked else "unblocked")
    return changed


def _announce(work: UnitOfWork, contact: Contact, change: str) -> None:
    work.announce(
        NewEvent(
            type=f"gateway.contact.{change}.v1",
            account_id=contact.account_id,
            channel_id=contact.channel_id,
            occurred_at=work.now,
            data={"contact": contact_resource(_row(contact))},
        )
    )


def _shown(contact: Contact, response: Response) -> ShownContact:
    tag_version(response, contact.version)
    return _resource(contact)


def _resource(contact: Contact) -> ShownContact:
    return ShownContact.model_validate(
        contact_resource(_row(contact)) | {"version": contact.version}
    )


def _row(contact: Contact) -> dict[str, Any]:
    return {name: getattr(contact, name) for name in Contact.__dataclass_fields__}
