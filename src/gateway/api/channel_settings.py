"""What is set of a channel, as its row holds it."""

from typing import Any

from gateway.api.channel_bodies import ChannelChanges, ChannelSettings, LinkChanges
from gateway.api.channel_links import hold_linked
from gateway.api.parts import ApiParts
from gateway.db.accounts import get_account
from gateway.db.channels import Channel
from gateway.db.departments import DEPARTMENTS
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelKind, platform_text_limit
from gateway.errors import FieldFault, InvalidFieldsError, NotSupportedByChannelError
from gateway.http.patches import Patch


async def settings_columns(
    work: UnitOfWork,
    parts: ApiParts,
    account_id: str,
    settings: ChannelSettings,
    *,
    kind: ChannelKind,
    routing: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the values of a channel's row that hold its settings.

    What the link names and the account are locked, in this order. `routing` is the channel's
    present one: it may name destinations that were deleted since.

    Raises:
        InvalidFieldsError: They refer to what does not exist, or to what such a channel cannot do.
    """
    link = await hold_linked(work, account_id, settings.link)
    if settings.department_id is not None:
        # Departments are deleted under this lock.
        await get_account(work.connection, account_id, lock=True)
        if await DEPARTMENTS.get(work.connection, account_id, settings.department_id) is None:
            detail = "There is no such department."
            raise InvalidFieldsError(
                detail, faults=[FieldFault("/department_id", "unknown-department", detail)]
            )
    if settings.human_agent and kind is ChannelKind.THIRD_PARTY:
        detail = "Human Agent is a feature of Pages."
        raise NotSupportedByChannelError(
            detail, faults=[FieldFault("/human_agent", "not-supported", detail)]
        )
    if settings.routing is None:
        routing = None
    elif settings.routing != routing:
        routing = await parts.routing_rules.accept(
            work, account_id, settings.routing, pointer_prefix="/routing"
        )
    return {
        **settings.model_dump(
            mode="json", exclude={"kind", "source", "meta_app_id", "link", "routing", "text_limit"}
        ),
        "link": link,
        "routing": routing,
        "text_limit": _text_limit(settings.text_limit, kind),
    }


async def changed_columns(
    work: UnitOfWork,
    parts: ApiParts,
    channel: Channel,
    body: Patch[ChannelChanges],
) -> tuple[ChannelChanges, dict[str, Any]]:
    """Return what a channel is to be after a change, and the values of its row for that.

    Raises:
        InvalidFieldsError: It does not hold, or would be without the department that it needs.
    """
    wanted = body.apply_to(_present(channel, body))
    columns = await settings_columns(
        work, parts, channel.account_id, wanted, kind=channel.kind, routing=channel.routing
    )
    named = channel.department_id is not None or "department_id" in body.changes
    if named and wanted.department_id is None:
        await require_department(work, channel.account_id)
    return wanted, columns


async def require_department(work: UnitOfWork, account_id: str) -> None:
    """Refuse a channel without a department, where the account uses them.

    Raises:
        InvalidFieldsError: It does.
    """
    account = await get_account(work.connection, account_id)
    if account is not None and account.departments_enabled:
        detail = "This account uses departments; name one."
        raise InvalidFieldsError(detail, faults=[FieldFault("/department_id", "missing", detail)])


def _present(channel: Channel, body: Patch[ChannelChanges]) -> ChannelChanges:
    """Return a channel's settings as a change starts from them; a token stays out of it."""
    present = ChannelChanges.model_validate(
        {
            "name": channel.name,
            "department_id": channel.department_id,
            "link": channel.link,
            "routing": channel.routing,
            "messages": channel.messages,
            "custom_info": channel.custom_info,
            "intermission_minutes": channel.intermission_minutes,
            "closed_enquiry_policy": channel.closed_enquiry_policy,
            "text_limit": channel.text_limit,
            "human_agent": channel.human_agent,
            "media_policy": channel.media_policy,
            "inbound_media_types": channel.inbound_media_types,
            "send_deadline_seconds": channel.send_deadline_seconds,
            "on_unknown_outcome": channel.on_unknown_outcome,
            "on_suspend": channel.on_suspend,
            "source": {
                "source_name": channel.source_name,
                "outgoing_webhook_url": channel.outgoing_webhook_url,
            },
        }
    )
    link = body.changes.get("link")
    if isinstance(link, dict) and link.get("mode", present.link.mode) != present.link.mode:
        # What belongs to the former mode goes with it.
        return present.model_copy(update={"link": LinkChanges()})
    return present


def _text_limit(wanted: int | None, kind: ChannelKind) -> int:
    most = platform_text_limit(kind)
    if wanted is None:
        return most
    if wanted > most:
        detail = f"This kind of channel takes {most} characters at most."
        raise InvalidFieldsError(detail, faults=[FieldFault("/text_limit", "too-large", detail)])
    return wanted
