"""Why channels do not work: each reason in words, and what to do about it."""

from collections.abc import Mapping
from typing import Final

from gateway.domain.channel import StatusReason

# What happened, and what to do about it.
REASONS: Final[Mapping[StatusReason, tuple[str, str]]] = {
    StatusReason.TOKEN_EXPIRED: (
        "Meta no longer accepts the Page's token.",
        "Re-authenticate the channel, or give it a new Page token.",
    ),
    StatusReason.PASSWORD_CHANGED: (
        "The person who connected the Page changed their Facebook password.",
        "Re-authenticate the channel, or give it a new Page token.",
    ),
    StatusReason.APP_REMOVED: (
        "The person who connected the Page removed the app.",
        "Connect the Page again.",
    ),
    StatusReason.PERMISSION_MISSING: (
        "A permission that the channel needs is missing or was withdrawn.",
        "Switch it on under Business Integrations, or remove the integration and connect again.",
    ),
    StatusReason.PAGE_NOT_GRANTED: (
        "The Page is not among those that were granted.",
        "Re-authenticate the channel and tick the Page.",
    ),
    StatusReason.ROLE_LOST: (
        "The person who connected the Page no longer has a role on it.",
        "Re-authenticate the channel as somebody who manages the Page.",
    ),
    StatusReason.PAGE_UNPUBLISHED: (
        "The Page is not published.",
        "Publish the Page in its settings.",
    ),
    StatusReason.PAGE_RESTRICTED: (
        "Meta has restricted the Page from sending messages.",
        "See the Page's quality in Meta Business Suite.",
    ),
    StatusReason.MESSAGES_NOT_ALLOWED: (
        "The Page does not take messages.",
        "Switch messages on in the Page's settings.",
    ),
    StatusReason.SUBSCRIPTION_MISSING: (
        "The app is not subscribed to the Page, so nothing comes in.",
        "Reconnect the channel; the person needs a role on the Page that may subscribe apps.",
    ),
    StatusReason.CHALLENGE_FAILED: (
        "The outgoing webhook failed its challenge several times.",
        "See that the address answers the challenge, then verify the channel.",
    ),
}
