"""The one table that pairs what the gateway refuses with an RFC 9457 problem.

Every subclass of `GatewayError` has a row here. Bodies hold fixed titles, sentences that we wrote,
and pointers; never what an exception of somebody else's says.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response

from gateway import errors
from gateway.errors import FieldFault, GatewayError

PROBLEM_JSON: Final = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of problem: how it is named, what it means and what to do about it."""

    slug: str
    status: int
    title: str
    cause: str
    remedy: str

    @property
    def type(self) -> str:
        """The `type` member of a problem of this kind, and where it is explained."""
        return f"/problems/{self.slug}"


METHOD_NOT_ALLOWED: Final = ProblemType(
    "method-not-allowed",
    405,
    "This address does not take this method",
    "The path exists, but not with the method of the request.",
    "Use one of the methods in the `Allow` header.",
)
INTERNAL_ERROR: Final = ProblemType(
    "internal-error",
    500,
    "Something went wrong on our side",
    "The gateway met a fault of its own while it handled the request.",
    "Try again. If it stays, give the operator the `instance` of the problem, which is the "
    "request's id in the logs.",
)
MALFORMED_REQUEST: Final = ProblemType(
    "malformed-request",
    400,
    "The request is not sound HTTP",
    "The request's line, headers or framing are not those of HTTP/1.1, or could be read in two "
    "ways.",
    "Use a common HTTP client, and look at what stands between it and the gateway.",
)
REQUEST_TIMEOUT: Final = ProblemType(
    "request-timeout",
    408,
    "The request took too long to arrive",
    "The header has to arrive within 5 seconds and the body within 10; uploads have 60.",
    "Send it again, over a faster connection.",
)
HEADER_TOO_LARGE: Final = ProblemType(
    "header-too-large",
    431,
    "The header is too large",
    "A request's line and headers may have 16 KiB and 100 lines in all.",
    "Send fewer or smaller headers, and a shorter address.",
)

PROBLEM_TYPES: Final[dict[type[GatewayError], ProblemType]] = {
    errors.MalformedJsonError: ProblemType(
        "malformed-json",
        400,
        "The body is not JSON",
        "The body is not a JSON document by RFC 8259 in UTF-8, nests too deep, or has a number "
        "that cannot be read.",
        "Send one JSON document, encoded in UTF-8 without a byte order mark.",
    ),
    errors.MissingParameterError: ProblemType(
        "missing-parameter",
        400,
        "A parameter is missing",
        "The call needs a parameter or a part that the request does not have.",
        "Add what `errors` or `detail` names.",
    ),
    errors.UnauthenticatedError: ProblemType(
        "unauthenticated",
        401,
        "No valid credential",
        "The request has no API key, or one that is unknown, revoked or past its rotation; or the "
        "key stands in the address, where logs would keep it.",
        "Send `Authorization: Bearer cgk_…` with a live key. A key that was in an address is "
        "burnt: rotate it.",
    ),
    errors.InvalidSignatureError: ProblemType(
        "invalid-signature",
        401,
        "The signature does not hold",
        "The signature over the body is missing, malformed or made with another secret.",
        "Sign the raw bytes of the body with the app's secret, and check that the secret kept here "
        "is the one in use.",
    ),
    errors.ForbiddenError: ProblemType(
        "forbidden",
        403,
        "The credential is not for this",
        "The credential is good, but calls of this kind need another one: instance calls need the "
        "administrator's key, calls of an account need that account's key.",
        "Use the right kind of key.",
    ),
    errors.InsufficientScopeError: ProblemType(
        "insufficient-scope",
        403,
        "The API key lacks a scope",
        "The API key was made without the scope that this call needs.",
        "Use a key with the scope named in `detail`, or make one.",
    ),
    errors.VerifyTokenMismatchError: ProblemType(
        "verify-token-mismatch",
        403,
        "The verify token is not ours",
        "The handshake of a webhook came with another verify token than the one kept here.",
        "Type the same verify token in Meta's dashboard and in the Meta app here.",
    ),
    errors.NotFoundError: ProblemType(
        "not-found",
        404,
        "There is no such thing",
        "Nothing of this account has this id, or the path does not exist. What belongs to another "
        "account looks the same.",
        "Check the path, the id and whose key it is.",
    ),
    errors.RecallNotSupportedError: ProblemType(
        "recall-not-supported",
        405,
        "Messages cannot be taken back",
        "Messenger, Instagram and third-party channels have no way to recall a message that was "
        "sent.",
        "Send a correcting message.",
    ),
    errors.NotAcceptableError: ProblemType(
        "not-acceptable",
        406,
        "No acceptable representation",
        "The `Accept` header excludes every media type that the call can answer with.",
        "Accept `application/json`, or leave the header out.",
    ),
    errors.ConflictError: ProblemType(
        "conflict",
        409,
        "The present state forbids it",
        "The request is sound, but something stands in its way, which `detail` names.",
        "Change what stands in the way, then try again.",
    ),
    errors.PageAlreadyConnectedError: ProblemType(
        "page-already-connected",
        409,
        "The Page is connected already",
        "A Page or an Instagram account belongs to one channel of one account at a time.",
        "Disconnect or delete the channel that has it, or ask who connected it to do so.",
    ),
    errors.ChannelSuspendedError: ProblemType(
        "channel-suspended",
        409,
        "The channel is suspended",
        "Nothing is sent through a suspended channel.",
        "Reactivate the channel.",
    ),
    errors.ChannelDeletedError: ProblemType(
        "channel-deleted",
        409,
        "The channel is deleted",
        "The history of a deleted channel stays readable, but nothing can be done with it.",
        "Make a new channel.",
    ),
    errors.MessagingWindowClosedError: ProblemType(
        "messaging-window-closed",
        409,
        "The messaging window has lapsed",
        "Meta lets a Page answer within 24 hours of the contact's last action; a person, with the "
        "tag HUMAN_AGENT and where the Page has that feature, within seven days.",
        "Close the enquiry, or wait until the contact writes again.",
    ),
    errors.ContactBlockedError: ProblemType(
        "contact-blocked",
        409,
        "The contact is blocked",
        "Nothing is sent to a contact that this account blocked.",
        "Unblock the contact first.",
    ),
    errors.ThreadOwnedElsewhereError: ProblemType(
        "thread-owned-elsewhere",
        409,
        "Somebody else has the thread",
        "Another app, or a person in the Page's inbox, holds the conversation at Meta.",
        "Wait until the thread comes free, or send with `take_thread`.",
    ),
    errors.IllegalTransitionError: ProblemType(
        "illegal-transition",
        409,
        "It cannot go from this state to that one",
        "The thing is in a state (`state`) from which there is no way to the one asked for.",
        "Look at `allowed`, which lists where it can go from here.",
    ),
    errors.NotAssigneeError: ProblemType(
        "not-assignee",
        409,
        "The enquiry is with another agent",
        "The enquiry is ongoing with another agent than the author of the message.",
        "Transfer the enquiry, or send with `takeover`.",
    ),
    errors.IdempotencyKeyInUseError: ProblemType(
        "idempotency-key-in-use",
        409,
        "The same request is still running",
        "A request with this idempotency key has not finished yet.",
        "Try again in a moment: the answer of the first one will be there.",
    ),
    errors.DepartmentsExhaustedError: ProblemType(
        "departments-exhausted",
        409,
        "More channels than departments",
        "An account that uses departments has at most as many channels as departments.",
        "Make a department, or delete a channel.",
    ),
    errors.CursorExpiredError: ProblemType(
        "cursor-expired",
        410,
        "The cursor is older than what is kept",
        "The events after this cursor have been dropped, so the feed would have a gap.",
        "Fetch the present state by the other calls, then read the feed from its oldest event by "
        "leaving `after` out.",
    ),
    errors.VersionMismatchError: ProblemType(
        "version-mismatch",
        412,
        "Somebody changed it meanwhile",
        "`If-Match` names another version than the present one.",
        "Read it again, apply your change to what you get, and send that version.",
    ),
    errors.BodyTooLargeError: ProblemType(
        "body-too-large",
        413,
        "The body is too large",
        "The body is over the limit of this call.",
        "Send less at once.",
    ),
    errors.UnsupportedMediaTypeError: ProblemType(
        "unsupported-media-type",
        415,
        "The body's type is not one we read",
        "The `Content-Type` or the `Content-Encoding` of the body is not one that the call takes.",
        "Send `application/json` (uploads: `multipart/form-data`), not compressed.",
    ),
    errors.InvalidFieldsError: ProblemType(
        "validation-failed",
        422,
        "Some fields do not hold",
        "One or more fields of the body, parameters or headers are missing, unknown or wrong.",
        "`errors` names each one by a JSON pointer: into the body, or below `/query`, `/path` or "
        "`/header`.",
    ),
    errors.TextTooLongError: ProblemType(
        "text-too-long",
        422,
        "The text is too long",
        "The text has more characters than the channel takes: 2,000 on Messenger, 1,000 on "
        "Instagram, or the channel's own `text_limit`.",
        "Shorten it, or send it in parts with `split`.",
    ),
    errors.ChallengeFailedError: ProblemType(
        "challenge-failed",
        422,
        "The address did not pass the challenge",
        "We POST a random value to an address before we use it, and expect that value back with "
        "status 200 within ten seconds.",
        'Answer the bare value, `{"challenge": "<value>"}` or `{"code": 0, "result": '
        '{"challenge": "<value>"}}`.',
    ),
    errors.AddressNotAllowedError: ProblemType(
        "address-not-allowed",
        422,
        "The address leads where we do not go",
        "The host does not resolve, resolves to an address that is not public, or the port is not "
        "one of those allowed.",
        "Use a public https address.",
    ),
    errors.NotSupportedByChannelError: ProblemType(
        "not-supported-by-channel",
        422,
        "This kind of channel cannot do that",
        "Messenger, Instagram and third-party channels differ in what they can carry.",
        "Leave it out, or use another channel.",
    ),
    errors.MediaNotSupportedError: ProblemType(
        "media-not-supported",
        422,
        "This kind of media is not taken",
        "The media is not what its type says, or is of a type or size that the platform or the "
        "channel's `media_policy` does not take.",
        "Convert it to one of the types in the documentation.",
    ),
    errors.IdempotencyKeyReusedError: ProblemType(
        "idempotency-key-reused",
        422,
        "The idempotency key belongs to another request",
        "The key was used with another body on the same path within the last 24 hours.",
        "Make a new key for each request; reuse one only to repeat the very same request.",
    ),
    errors.RateLimitedError: ProblemType(
        "rate-limited",
        429,
        "Too many requests",
        "The API key has made more calls than it may in a minute.",
        "Wait for as long as `Retry-After` says; `RateLimit` tells what is left.",
    ),
    errors.UpstreamFailedError: ProblemType(
        "upstream-failed",
        502,
        "A service we depend on did not answer",
        "The call needs Meta, and Meta could not be reached or answered nonsense. Nothing was "
        "changed. Of a message or a delivery: Meta or the webhook could not be reached, or did not "
        "take it, until its time was over.",
        "Try again later. Of a message, `error.detail` and its attempts say what was answered.",
    ),
    errors.NotDurableError: ProblemType(
        "not-durable",
        503,
        "Nothing durable could be reached",
        "What was posted could not be made durable in time, so it was not accepted.",
        "Post it again after `Retry-After`.",
    ),
    errors.NotReadyError: ProblemType(
        "not-ready",
        503,
        "Not ready to serve",
        "The gateway is starting, stopping, or cannot reach its database.",
        "Try again after `Retry-After`.",
    ),
}

ALL_PROBLEM_TYPES: Final = (
    *PROBLEM_TYPES.values(),
    METHOD_NOT_ALLOWED,
    INTERNAL_ERROR,
    MALFORMED_REQUEST,
    REQUEST_TIMEOUT,
    HEADER_TOO_LARGE,
)


def problem_type_of(error: GatewayError) -> ProblemType:
    """Return the kind of problem that an error is."""
    for cls in type(error).__mro__:
        if cls in PROBLEM_TYPES:
            return PROBLEM_TYPES[cls]
    return INTERNAL_ERROR


def problem_body(
    kind: ProblemType,
    detail: str,
    *,
    instance: str,
    faults: Sequence[FieldFault] = (),
    extra: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a problem document; `instance` is the request's id."""
    return {
        "type": kind.type,
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "instance": instance,
        "errors": [
            {"pointer": fault.pointer, "code": fault.code, "detail": fault.detail}
            for fault in faults
        ],
        **(extra or {}),
    }


def plain_problem(
    kind: ProblemType, detail: str, *, instance: str, headers: dict[str, str] | None = None
) -> Response:
    """Return the answer for a problem that has no error class of its own."""
    return _response(kind, problem_body(kind, detail, instance=instance), headers or {})


def problem_response(error: GatewayError, *, instance: str) -> Response:
    """Return the answer for an error."""
    kind = problem_type_of(error)
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after.total_seconds())))
    if isinstance(error, errors.UnauthenticatedError):
        headers["WWW-Authenticate"] = 'Bearer realm="gateway"'
    if isinstance(error, errors.RecallNotSupportedError):
        headers["Allow"] = "GET"
    body = problem_body(
        kind, error.detail, instance=instance, faults=error.faults, extra=error.extra
    )
    return _response(kind, body, headers)


def _response(kind: ProblemType, body: dict[str, Any], headers: dict[str, str]) -> Response:
    # ASCII, so that whatever text went into a detail can be encoded.
    return Response(
        json.dumps(body).encode(),
        status_code=kind.status,
        media_type=PROBLEM_JSON,
        headers={"Cache-Control": "no-store", **headers},
    )
