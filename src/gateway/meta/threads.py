"""Who owns a thread, and what Meta allows the Page: hand-overs, app roles, policy, linking.

Shapes: Messenger Platform webhook events `messaging_handovers`, `messaging_policy_enforcement`,
`messaging_account_linking`. App ids come as text or as numbers, and either side may be missing.
"""

from gateway.contracts.canonical import Json
from gateway.contracts.inbound import NO_CONTACT
from gateway.meta.fields import (
    as_id,
    as_members,
    bad_field,
    loose_text,
    optional_id,
    optional_text,
    present,
)
from gateway.meta.items import Fact, Item, Recogniser


def _thread_control(event: str, key: str) -> Recogniser:
    def recognise(item: Item, value: Json) -> Fact:
        fields = as_members(value, key)
        data = present(
            previous_owner_app_id=optional_id(fields, "previous_owner_app_id", key),
            new_owner_app_id=optional_id(fields, "new_owner_app_id", key),
            requested_owner_app_id=optional_id(fields, "requested_owner_app_id", key),
            metadata=loose_text(fields, "metadata"),
        )
        return Fact(event, data, item.contact_id(), item.without_own_id())

    return recognise


thread_passed = _thread_control("gateway.thread_control.passed.v1", "pass_thread_control")
thread_taken = _thread_control("gateway.thread_control.taken.v1", "take_thread_control")
thread_requested = _thread_control("gateway.thread_control.requested.v1", "request_thread_control")


def app_roles(item: Item, value: Json) -> Fact:
    """Recognise the roles of apps: an object of app id to list of roles, without a sender."""
    fields = as_members(value, "app_roles")
    apps = [{"app_id": _app_id(app_id), "roles": _roles(roles)} for app_id, roles in fields.items()]
    unique = item.without_own_id()
    return Fact("gateway.app_roles.changed.v1", {"apps": apps}, NO_CONTACT, unique)


def policy(item: Item, value: Json) -> Fact:
    """Recognise a warning, a block or its end; it has no sender."""
    fields = as_members(value, "policy_enforcement")
    action = optional_text(fields, "action", "policy_enforcement")
    if not action:
        raise bad_field("policy_enforcement.action")
    data = {"action": action} | present(reason=loose_text(fields, "reason"))
    return Fact("gateway.policy.enforced.v1", data, NO_CONTACT, item.without_own_id())


def linking(item: Item, value: Json) -> Fact:
    """Recognise that the contact linked or unlinked an account."""
    fields = as_members(value, "account_linking")
    status = fields.get("status")
    if status not in ("linked", "unlinked"):
        raise bad_field("account_linking.status")
    code = loose_text(fields, "authorization_code")
    data = {"status": status} | present(authorization_code=code)
    event = f"gateway.account.{status}.v1"
    return Fact(event, data, item.contact_id(), item.without_own_id())


def _app_id(value: str) -> str:
    app_id = as_id(value)
    if app_id is None:
        raise bad_field("app_roles")
    return app_id


def _roles(value: Json) -> list[str]:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return value
    raise bad_field("app_roles")
