"""The one table of Graph's error codes: what each means, what to do, and in which words to say it.

`docs/meta-errors.md` is written from it, and `/problems/meta-<code>[-<subcode>]` explain its rows.
"""

from collections.abc import Mapping
from typing import Final

from gateway.domain.channel import ChannelStatus, StatusReason
from gateway.domain.conversation import WINDOW_CLOSED_SENTENCE
from gateway.domain.delivery import TRIED_AGAIN
from gateway.meta.error_classes import GraphClass, GraphRule

_PERMISSIONS: Final = range(200, 300)
# Under these, an unfamiliar subcode says something about one message; without a subcode they are
# about the whole connection, and that must not be concluded from a number we do not know.
_CONNECTION_CODES: Final = frozenset({10, *_PERMISSIONS})
# Numbers that Meta's table prints as codes and its answers carry as subcodes are at least this.
_LEAST_SUBCODE: Final = 1_000_000


def find_rule(code: int, subcode: int | None = None) -> GraphRule | None:
    """Return the rule of a code and subcode; None for what nobody has told us about.

    Some numbers that Meta's table prints as codes come as subcodes in answers, and are found there.
    """
    if (rule := RULES.get((code, subcode))) is not None:
        return rule
    if subcode is not None:
        as_code = RULES.get((subcode, None)) if subcode >= _LEAST_SUBCODE else None
        if as_code is not None or code in _CONNECTION_CODES:
            return as_code
    return RULES.get((200 if code in _PERMISSIONS else code, None))


_RECONNECT: Final = "Re-authenticate the channel; its messages wait and then leave in order."
_ASK_CONTACT: Final = "Wait until the contact writes again."
_CHECK_MESSAGE: Final = "Correct the message and send it again."
_RAISE_LIMIT: Final = f"{TRIED_AGAIN} Spread the sending out."


def _retry(detail: str, *, tries: int | None = None, remedy: str = TRIED_AGAIN) -> GraphRule:
    return GraphRule(GraphClass.RETRY, detail, remedy, tries=tries)


def _throttle(detail: str, *, wide: bool = False) -> GraphRule:
    return GraphRule(GraphClass.THROTTLE, detail, _RAISE_LIMIT, wide=wide)


def _permanent(detail: str, remedy: str = _CHECK_MESSAGE) -> GraphRule:
    return GraphRule(GraphClass.PERMANENT, detail, remedy)


def _window(detail: str = WINDOW_CLOSED_SENTENCE, remedy: str = _ASK_CONTACT) -> GraphRule:
    return GraphRule(GraphClass.WINDOW, detail, remedy)


def _disconnected(reason: StatusReason, detail: str, remedy: str = _RECONNECT) -> GraphRule:
    return GraphRule(GraphClass.REAUTHENTICATE, detail, remedy, ChannelStatus.DISCONNECTED, reason)


def _degraded(reason: StatusReason, detail: str, remedy: str) -> GraphRule:
    return GraphRule(GraphClass.REAUTHENTICATE, detail, remedy, ChannelStatus.DEGRADED, reason)


UNFAMILIAR: Final = _permanent(
    "Meta refused the message with a code that the gateway does not know.",
    "Look the code up in Meta's documentation, then send the message again.",
)
UNFAMILIAR_RETRY: Final = _retry("Meta had a passing fault.")
UNFAMILIAR_THROTTLE: Final = _throttle("Meta takes no more calls for now.")

_NO_PERSON: Final = "This person cannot receive messages from the Page."
_PERSON_REMEDY: Final = "The contact blocked the Page or left; wait until they write again."

RULES: Final[Mapping[tuple[int, int | None], GraphRule]] = {
    # Faults of Meta's
    (1, None): _retry("Meta had an unknown fault, perhaps a downtime."),
    (1, 99): _retry(
        "Meta had an unknown fault; a permission or Advanced Access may be missing.",
        tries=3,
        remedy="Run the channel's diagnosis and check the app's permissions and access level.",
    ),
    (1, 1357046): _permanent(
        "Meta answered with damaged JSON although the message may have been sent.",
        "Look into the Page's inbox before you send the message again.",
    ),
    (2, None): _retry(
        "Meta's service was unavailable for a moment.",
        remedy=f"{TRIED_AGAIN} If it fails for good, the contact may have blocked the Page.",
    ),
    (2, 2018344): _permanent(
        "The terms of the inbox labels have not been accepted.",
        "Accept the terms in the Page's inbox, then send the message again.",
    ),
    (1200, None): _retry("Meta could not send the message for the moment."),
    (1200, 2018024): _retry("Meta could not send the message for the moment."),
    # Limits
    (4, None): _throttle("The app has made as many calls as Meta allows it.", wide=True),
    (4, 2018022): _throttle("Too many messages went to phone numbers.", wide=True),
    (4, 2018354): _permanent(
        "Marketing messages to this person must keep a minimum distance in time.",
        "Send the message again later.",
    ),
    (9, 2018352): _permanent(
        "Too many opt-in requests went to this person.", "Do not ask this person again for now."
    ),
    (17, None): _throttle("The user behind the token has made as many calls as Meta allows."),
    (17, 2446079): _throttle("The user behind the token has made as many calls as Meta allows."),
    (32, None): _throttle("The Page has made as many calls as Meta allows it."),
    (341, None): _throttle("The app has reached one of Meta's limits.", wide=True),
    (613, None): _throttle("The Page calls Meta faster than allowed."),
    (613, 2018338): _permanent(
        "Meta warns of an abuse of message tags.",
        "Use HUMAN_AGENT only for answers that a person wrote.",
    ),
    (613, 2534040): _throttle("The Instagram account calls Meta faster than allowed."),
    (613, 1893016): _permanent("The person was already asked to opt in.", "Do not ask again."),
    (80001, None): _throttle("The Page has made as many calls as Meta allows it."),
    (80002, None): _throttle("The Instagram account has made as many calls as Meta allows it."),
    (80006, None): _throttle("The Page has sent as many messages as Meta allows it."),
    # The messaging window
    (10, 2018278): _window(),
    (10, 2534022): _window(),
    (10, 2018065): _window(
        "The messaging window has lapsed; only registered news Pages may write later."
    ),
    # The connection: token, permissions, the Page
    (10, None): _disconnected(
        StatusReason.PERMISSION_MISSING,
        "The permission to send messages for this Page is missing or was withdrawn.",
        "Re-authenticate the channel and leave all permissions ticked.",
    ),
    (10, 2534077): _disconnected(
        StatusReason.PERMISSION_MISSING,
        "The Instagram account is not linked rightly, or wants two-factor authentication.",
        "Link the account to its Page, switch two-factor authentication on, and re-authenticate.",
    ),
    (10, 1893063): _degraded(
        StatusReason.PAGE_RESTRICTED,
        "Meta has temporarily restricted the Page from sending messages.",
        "See the Page's quality in Meta Business Suite; reactivate the channel once it is lifted.",
    ),
    (102, None): _disconnected(
        StatusReason.TOKEN_EXPIRED, "Meta no longer accepts the session behind the Page's token."
    ),
    (190, None): _disconnected(
        StatusReason.TOKEN_EXPIRED, "Meta no longer accepts the Page's token."
    ),
    (190, 458): _disconnected(
        StatusReason.APP_REMOVED, "The person who connected the Page removed the app."
    ),
    (190, 459): _disconnected(
        StatusReason.TOKEN_EXPIRED,
        "Facebook wants the person who connected the Page to confirm their account.",
        "Let that person log in to facebook.com and confirm, then re-authenticate the channel.",
    ),
    (190, 460): _disconnected(
        StatusReason.PASSWORD_CHANGED,
        "The person who connected the Page changed their Facebook password.",
    ),
    (190, 463): _disconnected(StatusReason.TOKEN_EXPIRED, "The Page's token has expired."),
    (190, 464): _disconnected(
        StatusReason.TOKEN_EXPIRED,
        "The Facebook account of the person who connected the Page is not confirmed.",
        "Let that person log in to facebook.com and confirm, then re-authenticate the channel.",
    ),
    (190, 467): _disconnected(
        StatusReason.TOKEN_EXPIRED, "The Page's token was made invalid, as by logging out."
    ),
    (190, 492): _disconnected(
        StatusReason.ROLE_LOST,
        "The person who connected the Page no longer has a role on it.",
        "Re-authenticate the channel with an account that manages the Page.",
    ),
    (200, None): _disconnected(
        StatusReason.PERMISSION_MISSING,
        "The token has no right to this Page any more, or the app is not live.",
        "Re-authenticate the channel with the Page and all permissions ticked.",
    ),
    (200, 2534041): _degraded(
        StatusReason.MESSAGES_NOT_ALLOWED,
        "The owner of the Instagram account does not let apps read and write messages.",
        "Allow access to messages in the Instagram app's settings.",
    ),
    (230, None): _disconnected(
        StatusReason.PERMISSION_MISSING,
        "The token lacks the permission pages_messaging.",
        "Re-authenticate the channel and leave all permissions ticked.",
    ),
    (368, None): _degraded(
        StatusReason.PAGE_RESTRICTED,
        "Meta has blocked the Page for a time because of its policies.",
        "See the Page's quality in Meta Business Suite; reactivate the channel once it is lifted.",
    ),
    # The person
    (10, 2018108): _permanent("This person cannot receive messages right now.", _PERSON_REMEDY),
    (10, 1404170): _permanent("The person's opt-in is restricted.", _ASK_CONTACT),
    (10, 1893015): _permanent("The person stopped this topic.", _ASK_CONTACT),
    (100, 2018001): _permanent(
        "Meta knows no such person for this Page.",
        "The contact belongs to another Page or app, or never wrote; wait until they write.",
    ),
    (200, 1545041): _permanent(_NO_PERSON, _PERSON_REMEDY),
    (551, None): _permanent(_NO_PERSON, _PERSON_REMEDY),
    (551, 1545041): _permanent(_NO_PERSON, _PERSON_REMEDY),
    # The app and its review
    (200, 2018021): _permanent(
        "The app may not match people by phone number.", "Ask Meta for the feature's review."
    ),
    (200, 2018027): _permanent(
        "The app has not passed Meta's review for this.", "Ask Meta for the feature's review."
    ),
    (200, 2018028): _permanent(
        "The app is in development mode and this person is no tester.",
        "Make the person a tester, or set the app live.",
    ),
    (2022, None): _permanent(
        "Meta's policy has switched commerce messages off for this Page.",
        "See the Page's quality in Meta Business Suite.",
    ),
    # The message
    (10, 2018336): _permanent("Meta refused this menu for the person."),
    (100, None): _permanent("Meta found a parameter of the message invalid."),
    (100, 33): _permanent(
        "What the message refers to does not exist, or this Page may not see it."
    ),
    (100, 2018008): _retry(
        "Meta could not fetch the file from its address.",
        tries=3,
        remedy="Check that the address is public, quick, and has a valid certificate.",
    ),
    (100, 2018014): _permanent("A message and a sender action cannot go together."),
    (100, 2018015): _permanent("There was neither a message nor an action to send."),
    (100, 2018034): _permanent("The message is empty."),
    (100, 2018040): _permanent("A button has no payload."),
    (100, 2018041): _permanent("A button has no address."),
    (100, 2018047): _permanent(
        "The file is not of the type that was announced.", "Send it as the type that it has."
    ),
    (100, 2018048): _permanent("Meta could not show the action.", "Nothing needs to be done."),
    (100, 2018053): _permanent("A button has no title."),
    (100, 2018074): _permanent(
        "The stored file has expired or belongs to another Page.", "Send the file itself again."
    ),
    (100, 2018109): _permanent("The file is larger than Meta takes.", "Send a smaller file."),
    (100, 2018164): _permanent("The app to hand the thread over to is wrong."),
    (100, 2018294): _retry(
        "Meta could not read the video in time; it may be damaged.",
        tries=2,
        remedy="Check that the video plays, and send a smaller one.",
    ),
    (100, 2534013): _permanent(
        "The Instagram account is not linked to the Page.", "Link them in the Page's settings."
    ),
    (100, 2534014): _permanent("Instagram knows no such person.", _ASK_CONTACT),
    (100, 2534015): _permanent("Instagram found the message invalid."),
    (100, 2534025): _permanent(
        "Instagram takes no private reply to this comment.",
        "A comment gets one private reply, within seven days.",
    ),
    (100, 2534029): _permanent(_NO_PERSON, _PERSON_REMEDY),
    (100, 2534037): _permanent(
        "Another app holds the thread.", "Take the thread, then send the message again."
    ),
    (10303, None): _permanent("The token for account linking is invalid."),
    (10900, None): _permanent(
        "The comment has had its private reply.", "Wait until the contact writes."
    ),
    # The thread, and what is read
    (2018300, None): _permanent(
        "Another app controls this thread now.", "Take the thread, then send the message again."
    ),
    (2018321, None): _permanent(
        "An automated lead flow controls this thread now.",
        "Take the thread, then send the message again.",
    ),
    (2018218, None): _permanent("This person's profile is not available.", "Go on without it."),
    (2018247, None): _permanent(
        "The token may not read this person's profile.", "Check the app's permissions."
    ),
    (9000001, None): _permanent("Meta no longer shows this message.", "Go on without it."),
    # The call
    (803, None): _permanent("Meta knows no such object.", "Run the channel's diagnosis."),
    (2500, None): _permanent("Meta knows no such path.", "Check the app's Graph version."),
    (2635, None): _permanent(
        "Meta no longer serves this Graph version.", "Set a newer graph_version at the Meta app."
    ),
}
