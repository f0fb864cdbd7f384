"""What a message comes to whose media cannot be had, or cannot be sent.

None of it is the fault of whom the message goes to.
"""

from typing import Final

from gateway.domain.delivery import Answer, Refused, Retry, SendError
from gateway.sender.fetching import FetchFailedError

_REMEDY: Final = "Check that the address is public and has the file itself, then send it again."
_POLICY_REMEDY: Final = "Send a smaller file, or one of another type."


def unfetched(error: FetchFailedError) -> Answer:
    """Return what follows from a file that cannot be had."""
    match error.reason:
        case "too-large" | "not-supported":
            return refused(str(error))
        case "address-not-allowed":
            code = "address-not-allowed"
        case _:
            code = "upstream-failed"
    said = SendError(code, str(error), _REMEDY, retryable=error.retryable)
    outcome = Retry(said) if error.retryable else Refused(said)
    return Answer(outcome=outcome, blames_target=False)


def refused(detail: str) -> Answer:
    """Return what follows from a file that the channel does not send."""
    error = SendError("media-not-supported", detail, _POLICY_REMEDY)
    return Answer(outcome=Refused(error), blames_target=False)


def failed(detail: str) -> Answer:
    """Return what follows from a failure that may pass."""
    error = SendError("upstream-failed", detail, _REMEDY, retryable=True)
    return Answer(outcome=Retry(error), blames_target=False)
