"""What is set of a channel, as its row holds it."""

from typing import Any

from gateway.api.channel_bodies import ChannelChanges, ChannelSettings, LinkSettings
from gateway.api.parts import ApiParts
from gateway.db.bots import BOTS
from gateway.db.channels import Channel
from gateway.db.departments import DEPARTMENTS
from gateway.db.endpoints import get_endpoint
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelKind, platform_text_limit
from gateway.errors import FieldFault, InvalidFieldsError, NotSupportedByChannelError


async def settings_columns(
    work: UnitOfWork,
    parts: ApiParts,
    account_id: str,
    settings: ChannelSettings,
    *,
    kind: ChannelKind,
) -> dict[str, Any]:
    """Return the values of a channel's row that hold its settings.

    Raises:
        InvalidFieldsError: They refer to what does not exist, or to what such a channel cannot do.
    """
    if settings.department_id is not None:
        found = await DEPARTMENTS.get(work.connection, account_id, settings.department_id)
        if found is None:
            raise _unknown("/department_id", "department")
    if settings.human_agent and kind is ChannelKind.THIRD_PARTY:
        detail = "Human Agent is a feature of Pages."
        raise NotSupportedByChannelError(
            detail, faults=[FieldFault("/human_agent", "not-supported", detail)]
        )
    routing = None
    if settings.routing is not None:
        routing = await parts.routing_rules.accept(
            work, account_id, settings.routing, pointer_prefix="/routing"
        )
    return {
        **settings.model_dump(
            mode="json", exclude={"kind", "source", "meta_app_id", "link", "routing", "text_limit"}
        ),
        "link": await _link(work, account_id, settings.link),
        "routing": routing,
        "text_limit": _text_limit(settings.text_limit, kind),
    }


def changes_of(channel: Channel) -> ChannelChanges:
    """Return a channel's settings as a change starts from them; a token stays out of it."""
    return ChannelChanges.model_validate(
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


async def _link(work: UnitOfWork, account_id: str, link: LinkSettings) -> dict[str, Any]:
    match link.mode:
        case "chat":
            return {"mode": "chat"}
        case "bot":
            if link.bot_id is None or not await BOTS.get(work.connection, account_id, link.bot_id):
                raise _unknown("/link/bot_id", "bot")
            return {"mode": link.mode, "bot_id": link.bot_id}
        case "external_endpoint":
            found = link.endpoint_id is not None and await get_endpoint(
                work.connection, account_id, link.endpoint_id
            )
            if not found:
                raise _unknown("/link/endpoint_id", "endpoint")
            return {"mode": link.mode, "endpoint_id": link.endpoint_id}


def _text_limit(wanted: int | None, kind: ChannelKind) -> int:
    most = platform_text_limit(kind)
    if wanted is None:
        return most
    if wanted > most:
        detail = f"This kind of channel takes {most} characters at most."
        raise InvalidFieldsError(detail, faults=[FieldFault("/text_limit", "too-large", detail)])
    return wanted


def _unknown(pointer: str, kind: str) -> InvalidFieldsError:
    detail = f"There is no such {kind}."
    return InvalidFieldsError(detail, faults=[FieldFault(pointer, f"unknown-{kind}", detail)])
