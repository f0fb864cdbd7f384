"""`/{page}/subscribed_apps`: which of a Page's events an app gets."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.sandbox.access import PageCaller, caller_for_node
from gateway.sandbox.calls import Call
from gateway.sandbox.errors import GraphError, invalid_parameter
from gateway.sandbox.platform import Platform

# The messaging part of the names that Meta's own SDK lists, and those Pages have besides.
SUBSCRIBABLE: Final = frozenset(
    """
    messages message_deliveries message_echoes message_edits message_reactions message_reads
    message_context message_mention message_template_status_update messaging_account_linking
    messaging_appointments messaging_customer_information messaging_direct_sends
    messaging_fblogin_account_linking messaging_feedback messaging_game_plays messaging_handovers
    messaging_in_thread_lead_form_submit messaging_integrity messaging_optins messaging_optouts
    messaging_payments messaging_policy_enforcement messaging_postbacks messaging_pre_checkouts
    messaging_checkout_updates messaging_referrals response_feedback send_cart standby inbox_labels
    calls call_permission_reply call_settings_update business_integrity marketing_message_clicks
    marketing_message_deliveries marketing_message_delivery_failed marketing_message_echoes
    marketing_message_reads marketing_messages_subscriber_upload_status feed mention leadgen ratings
    videos live_videos conversations group_feed
    """.split()  # noqa: SIM905 - forty names read better as text than as quoted literals
)


def subscribe(platform: Platform, call: Call) -> Mapping[str, Any]:
    """Answer `POST /{page}/subscribed_apps`: the list given replaces the one before.

    One field that needs more permission refuses the whole call, as at Meta.
    """
    caller = _caller(platform, call)
    fields = call.sequence("subscribed_fields")
    if not fields:
        raise GraphError(100, message="(#100) The parameter subscribed_fields is required")
    for number, name in enumerate(fields):
        if name not in SUBSCRIBABLE:
            raise invalid_parameter(
                f"subscribed_fields[{number}]",
                f"must be one of {{{', '.join(sorted(SUBSCRIBABLE))}}}",
            )
    refused = [name for name in fields if not _granted(caller, name)]
    if refused:
        complaints = [
            f"To subscribe to the {name} field, one of these permissions is needed: "
            f"{_permission_for(name)}"
            for name in refused
        ]
        raise GraphError(200, message=f"(#200) {'. '.join(complaints)}")
    caller.page.subscriptions[caller.app.app_id] = tuple(dict.fromkeys(fields))
    return {"success": True}


def list_subscriptions(platform: Platform, call: Call) -> Mapping[str, Any]:
    """Answer `GET /{page}/subscribed_apps`: the apps installed on the Page."""
    page = _caller(platform, call).page
    apps = platform.world.apps
    return {
        "data": [
            {
                "category": "Business",
                "link": f"https://www.facebook.com/games/?app_id={app_id}",
                "name": apps[app_id].name,
                "id": app_id,
                "subscribed_fields": list(fields),
            }
            for app_id, fields in page.subscriptions.items()
        ]
    }


def unsubscribe(platform: Platform, call: Call) -> Mapping[str, Any]:
    """Answer `DELETE /{page}/subscribed_apps`: the app is taken off the Page."""
    caller = _caller(platform, call)
    caller.page.subscriptions.pop(caller.app.app_id, None)
    return {"success": True}


def _caller(platform: Platform, call: Call) -> PageCaller:
    caller = caller_for_node(platform.world, platform.timeline, call)
    caller.needs(
        "pages_manage_metadata",
        code=200,
        message="(#200) Requires pages_manage_metadata permission to manage the object",
    )
    return caller


def _granted(caller: PageCaller, name: str) -> bool:
    return name not in caller.page.refused_fields and _permission_for(name) in caller.scopes


def _permission_for(name: str) -> str:
    messaging = name.startswith(("message", "messaging")) or name in ("standby", "send_cart")
    return "pages_messaging" if messaging else "pages_manage_metadata"
