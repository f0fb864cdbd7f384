"""Everything that the gateway refuses, as exceptions that know nothing of HTTP.

GatewayError
├── NotFoundError                 not-found
├── UnauthenticatedError          unauthenticated
├── InvalidSignatureError         invalid-signature
├── ForbiddenError                forbidden
│   ├── InsufficientScopeError    insufficient-scope
│   └── VerifyTokenMismatchError  verify-token-mismatch
├── MissingParameterError         missing-parameter
├── MalformedJsonError            malformed-json
├── NotAcceptableError            not-acceptable
├── RecallNotSupportedError       recall-not-supported
├── ConflictError                 conflict
│   ├── PageAlreadyConnectedError      page-already-connected
│   ├── ChannelSuspendedError          channel-suspended
│   ├── ChannelDeletedError            channel-deleted
│   ├── MessagingWindowClosedError     messaging-window-closed
│   ├── ContactBlockedError            contact-blocked
│   ├── ThreadOwnedElsewhereError      thread-owned-elsewhere
│   ├── IllegalTransitionError         illegal-transition
│   ├── NotAssigneeError               not-assignee
│   ├── IdempotencyKeyInUseError       idempotency-key-in-use
│   └── DepartmentsExhaustedError      departments-exhausted
├── CursorExpiredError            cursor-expired
├── VersionMismatchError          version-mismatch
├── BodyTooLargeError             body-too-large
├── UnsupportedMediaTypeError     unsupported-media-type
├── InvalidFieldsError            validation-failed
│   ├── TextTooLongError              text-too-long
│   ├── ChallengeFailedError          challenge-failed
│   ├── AddressNotAllowedError        address-not-allowed
│   ├── NotSupportedByChannelError    not-supported-by-channel
│   ├── MediaNotSupportedError        media-not-supported
│   └── IdempotencyKeyReusedError     idempotency-key-reused
├── RateLimitedError              rate-limited
├── UpstreamFailedError           upstream-failed
├── NotDurableError               not-durable
└── NotReadyError                 not-ready

`gateway.http.problems` pairs each class with its slug and status; a test fails on one without.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class FieldFault:
    """What is wrong with one field: its JSON pointer, a stable code and a sentence."""

    pointer: str
    code: str
    detail: str


class GatewayError(Exception):
    """Something was refused; the message is a sentence fit for the caller's eyes."""

    def __init__(
        self,
        detail: str,
        *,
        faults: Sequence[FieldFault] = (),
        extra: Mapping[str, object] | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = tuple(faults)
        self.extra = dict(extra or {})
        self.retry_after = retry_after


class NotFoundError(GatewayError):
    """There is no such thing, or it belongs to another account, which looks the same."""


class UnauthenticatedError(GatewayError):
    """No credential, or one that does not hold."""


class InvalidSignatureError(GatewayError):
    """The signature over the body is missing or wrong."""


class ForbiddenError(GatewayError):
    """The credential is good, but not for this."""


class InsufficientScopeError(ForbiddenError):
    """The API key lacks the scope that the call needs."""


class VerifyTokenMismatchError(ForbiddenError):
    """The verify token of a webhook handshake is not ours."""


class MissingParameterError(GatewayError):
    """A parameter that the call cannot do without is absent."""


class MalformedJsonError(GatewayError):
    """The body is not the JSON it claims to be."""


class NotAcceptableError(GatewayError):
    """None of the media types the caller accepts is on offer."""


class RecallNotSupportedError(GatewayError):
    """The platform has no way to take a message back."""


class ConflictError(GatewayError):
    """The request is sound but the present state forbids it."""


class PageAlreadyConnectedError(ConflictError):
    """The Page is connected to an account already."""


class ChannelSuspendedError(ConflictError):
    """The channel is suspended."""


class ChannelDeletedError(ConflictError):
    """The channel is deleted; its history stays readable."""


class MessagingWindowClosedError(ConflictError):
    """The platform's messaging window has lapsed."""


class ContactBlockedError(ConflictError):
    """The contact is blocked."""


class ThreadOwnedElsewhereError(ConflictError):
    """Another app, or a person in the Page's inbox, owns the thread."""


class IllegalTransitionError(ConflictError):
    """The state machine has no such arrow; `extra` carries `state` and `allowed`."""


class NotAssigneeError(ConflictError):
    """The enquiry is ongoing with another agent."""


class IdempotencyKeyInUseError(ConflictError):
    """A request with the same idempotency key is still running."""


class DepartmentsExhaustedError(ConflictError):
    """There are as many channels as departments."""


class CursorExpiredError(GatewayError):
    """The cursor points before the oldest event kept."""


class VersionMismatchError(GatewayError):
    """If-Match names another version than the present one."""


class BodyTooLargeError(GatewayError):
    """The body is over the limit."""


class UnsupportedMediaTypeError(GatewayError):
    """The body's type or encoding is not one we read."""


class InvalidFieldsError(GatewayError):
    """One or more fields do not hold; `faults` says which and why."""


class TextTooLongError(InvalidFieldsError):
    """The text is over the channel's limit."""


class ChallengeFailedError(InvalidFieldsError):
    """The address did not answer the challenge rightly."""


class AddressNotAllowedError(InvalidFieldsError):
    """The address leads where the gateway must not go."""


class NotSupportedByChannelError(InvalidFieldsError):
    """This kind of channel cannot do that."""


class MediaNotSupportedError(InvalidFieldsError):
    """The media's type or content is not one the platform takes."""


class IdempotencyKeyReusedError(InvalidFieldsError):
    """The idempotency key was used with another body."""


class RateLimitedError(GatewayError):
    """The caller's limit is reached; `retry_after` says until when."""


class UpstreamFailedError(GatewayError):
    """A service we depend on for this call did not answer."""


class NotDurableError(GatewayError):
    """Nothing durable could be reached in time."""


class NotReadyError(GatewayError):
    """The process cannot serve yet."""
