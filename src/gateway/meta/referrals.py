"""Where people come from, and what they agreed to: referrals, opt-ins, opt-outs.

Shapes: Messenger Platform webhook events `messaging_referrals`, `messaging_optins`,
`messaging_optouts`, and Instagram's `messaging_referral`.
"""

from typing import Final

from gateway.contracts.canonical import Json
from gateway.contracts.moments import moment_text
from gateway.meta.fields import (
    as_members,
    loose_members,
    loose_text,
    present,
)
from gateway.meta.items import Fact, Item, ref_id

_STOPPED: Final = "STOP NOTIFICATIONS"


def referral(fields: dict[str, Json]) -> dict[str, Json]:
    """Return a referral as the contract describes it, from wherever it stands."""
    guest = fields.get("is_guest_user")
    return present(
        ref=loose_text(fields, "ref"),
        source=loose_text(fields, "source"),
        type=loose_text(fields, "type"),
        ad_id=loose_text(fields, "ad_id"),
        referer_uri=loose_text(fields, "referer_uri"),
        is_guest_user=guest if isinstance(guest, bool) else None,
        product_id=loose_text(loose_members(fields, "product"), "id"),
        ad=loose_members(fields, "ads_context_data") or None,
    )


def referred(item: Item, value: Json) -> Fact:
    """Recognise a person who came into an existing thread; a lead form's answers stand beside."""
    data = referral(as_members(value, "referral"))
    if "lead" in item.fields:
        data["lead"] = _answers(loose_members(item.fields, "lead").get("data"))
    unique = item.without_own_id()
    return Fact("gateway.referral.received.v1", data, item.contact_id(), unique)


def opted_in(item: Item, value: Json) -> Fact:
    """Recognise an opt-in; one that stops notifications is an opt-out."""
    fields = as_members(value, "optin")
    status = loose_text(fields, "notification_messages_status")
    stopped = status is not None and status.upper().replace("_", " ") == _STOPPED
    event = "gateway.optout.received.v1" if stopped else "gateway.optin.received.v1"
    return _agreed(event, item, fields)


def opted_out(item: Item, value: Json) -> Fact:
    """Recognise an opt-out that has a key of its own."""
    return _agreed("gateway.optout.received.v1", item, as_members(value, "optout"))


def _agreed(event: str, item: Item, fields: dict[str, Json]) -> Fact:
    # The check-box plug-in names the person inside the opt-in, and no sender.
    contact_id = item.contact_id(otherwise=ref_id(fields.get("user_ref")))
    return Fact(event, _terms(fields), contact_id, item.without_own_id())


def _terms(fields: dict[str, Json]) -> dict[str, Json]:
    token = loose_text(fields, "notification_messages_token")
    return present(
        type=loose_text(fields, "type"),
        ref=loose_text(fields, "ref"),
        user_ref=loose_text(fields, "user_ref"),
        payload=loose_text(fields, "payload"),
        title=loose_text(fields, "title"),
        token=loose_text(fields, "one_time_notif_token") if token is None else token,
        token_expires_at=moment_text(fields.get("token_expiry_timestamp")),
        token_status=loose_text(fields, "user_token_status"),
        frequency=loose_text(fields, "notification_messages_frequency"),
        time_zone=loose_text(fields, "notification_messages_timezone"),
        topic=loose_text(fields, "notification_messages_topic"),
        source=loose_text(fields, "source"),
        status=loose_text(fields, "notification_messages_status"),
    )


def _answers(value: Json) -> list[dict[str, Json]]:
    answers = [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
    return [
        present(question=loose_text(each, "question") or "", answer=loose_text(each, "answer"))
        for each in answers
    ]
