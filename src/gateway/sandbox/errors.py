"""Meta's errors: their shape, their codes, and the HTTP status each one comes with.

Meta documents codes and subcodes but no status; the statuses are what has been recorded, and
clients are told to decide by code and subcode. `10` and `200` come with 403, most others with 400.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

TOKEN_INVALID: Final = "invalid_token"  # noqa: S105 - Meta's word for the complaint
REQUEST_INVALID: Final = "invalid_request"


class GraphError(Exception):
    """A call that Graph refuses. `challenge` becomes the `WWW-Authenticate` header."""

    def __init__(
        self,
        code: int,
        subcode: int | None = None,
        *,
        message: str | None = None,
        status: int | None = None,
        challenge: str | None = None,
        transient: bool | None = None,
    ) -> None:
        known = _lookup(code, subcode)
        self.code = code
        self.subcode = subcode
        self.text = message if message is not None else known.text
        self.status = status if status is not None else known.status
        self.type = known.type
        self.transient = known.transient if transient is None else transient
        self.challenge = challenge or (TOKEN_INVALID if code in TOKEN_CODES else None)
        super().__init__(self.text)

    def body(self) -> dict[str, Any]:
        """Return the error as Graph words it in an answer's body."""
        error: dict[str, Any] = {"message": self.text, "type": self.type, "code": self.code}
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        if self.transient:
            error["is_transient"] = True
        error["fbtrace_id"] = trace_id()
        return {"error": error}

    def headers(self) -> dict[str, str]:
        """Return the headers that come with the error."""
        if self.challenge is None:
            return {}
        # A quote or a line break in a text would break the header that repeats it.
        text = "".join(c for c in self.text if c.isascii() and c.isprintable() and c != '"')
        return {"WWW-Authenticate": f'OAuth "Facebook Platform" "{self.challenge}" "{text}"'}


@dataclass(frozen=True, slots=True)
class _Known:
    status: int
    text: str
    transient: bool = field(default=False, kw_only=True)
    type: str = field(default="OAuthException", kw_only=True)


TOKEN_CODES: Final = frozenset({102, 190})

_WINDOW: Final = "This message is sent outside of allowed window."

_CATALOGUE: Final[Mapping[tuple[int, int | None], _Known]] = {
    (1, None): _Known(500, "An unknown error occurred", transient=True),
    (1, 99): _Known(500, "An unknown error occurred"),
    (2, None): _Known(
        500,
        "An unexpected error has occurred. Please retry your request later.",
        transient=True,
    ),
    (4, None): _Known(403, "(#4) Application request limit reached", transient=True),
    (10, None): _Known(403, "(#10) Application does not have permission for this action"),
    (10, 1893063): _Known(403, "(#10) This Page is temporarily restricted from sending messages."),
    (10, 2018065): _Known(403, f"(#10) {_WINDOW} The news permission is needed."),
    (10, 2018108): _Known(403, "(#10) This person can't receive messages right now."),
    (10, 2018278): _Known(403, f"(#10) {_WINDOW}"),
    (10, 2018300): _Known(
        403, "(#10) Message failed to send because another app is controlling this thread now."
    ),
    (10, 2534022): _Known(403, f"(#10) {_WINDOW}"),
    (17, None): _Known(400, "(#17) User request limit reached", transient=True),
    (32, None): _Known(403, "(#32) Page request limit reached", transient=True),
    (100, None): _Known(400, "(#100) Invalid parameter"),
    (100, 33): _Known(
        400,
        "Unsupported request. Object does not exist, cannot be loaded due to missing permissions, "
        "or does not support this operation.",
        type="GraphMethodException",
    ),
    (100, 1893061): _Known(400, "(#100) Invalid parameter: this message tag is no longer accepted"),
    (100, 2018001): _Known(400, "(#100) No matching user found"),
    (100, 2018008): _Known(400, "(#100) Failed to fetch the file from the url"),
    (100, 2018014): _Known(
        400, "(#100) Message cannot be sent together with a sender action in one request"
    ),
    (100, 2018015): _Known(400, "(#100) Either a message or a sender action is required"),
    (100, 2018034): _Known(400, "(#100) Message cannot be empty: text or attachment is needed"),
    (100, 2018040): _Known(400, "(#100) Button payload must not be empty"),
    (100, 2018041): _Known(400, "(#100) Button url must not be empty"),
    (100, 2018047): _Known(400, "(#100) Upload attachment failure: type mismatch"),
    (100, 2018053): _Known(400, "(#100) Button title must not be empty"),
    (100, 2018074): _Known(400, "(#100) Invalid attachment id"),
    (100, 2018109): _Known(400, "(#100) Attachment size exceeds allowable limit"),
    (100, 2018164): _Known(400, "(#100) Incorrect app id"),
    (100, 2534037): _Known(400, "(#100) Another app is the thread owner"),
    (102, None): _Known(400, "API session has expired or is not valid"),
    (104, None): _Known(400, "An access token is required to request this resource."),
    (190, None): _Known(400, "Invalid OAuth access token."),
    (190, 458): _Known(400, "Error validating access token: The user has removed the app."),
    (190, 459): _Known(
        400, "Error validating access token: You cannot access the app till you log in to facebook."
    ),
    (190, 460): _Known(
        400,
        "Error validating access token: The session has been invalidated because the user changed "
        "their password.",
    ),
    (190, 463): _Known(400, "Error validating access token: Session has expired."),
    (190, 464): _Known(400, "Error validating access token: Session does not match current state."),
    (190, 467): _Known(
        400, "Error validating access token: The session is invalid because the user logged out."
    ),
    (190, 492): _Known(
        400, "Error validating access token: The user does not have a role on the Page any more."
    ),
    (200, None): _Known(403, "(#200) Permissions error"),
    (200, 1545041): _Known(403, "(#200) This person isn't available right now."),
    (200, 2534041): _Known(403, "(#200) The account owner has disabled access to messages."),
    (230, None): _Known(403, "(#230) Requires pages_messaging permission to manage the object"),
    (341, None): _Known(400, "Application limit reached", transient=True),
    (368, None): _Known(
        400, "The action attempted has been deemed abusive or is otherwise disallowed"
    ),
    (551, None): _Known(400, "(#551) This person isn't available right now."),
    (551, 1545041): _Known(400, "(#551) This person isn't available right now."),
    (613, None): _Known(
        400, "(#613) Calls to this api have exceeded the rate limit.", transient=True
    ),
    (803, None): _Known(404, "(#803) Some of the aliases you requested do not exist"),
    (1200, None): _Known(
        400, "(#1200) Temporary send message failure. Please try again later.", transient=True
    ),
    (2500, None): _Known(400, "Unknown path components"),
    (80001, None): _Known(
        400, "(#80001) There have been too many calls to this Page account.", transient=True
    ),
    (80006, None): _Known(
        400, "(#80006) There have been too many calls to this Messenger account.", transient=True
    ),
    (9000001, None): _Known(400, "(#9000001) This message has been deleted"),
}


def _lookup(code: int, subcode: int | None) -> _Known:
    known = _CATALOGUE.get((code, subcode)) or _CATALOGUE.get((code, None))
    if known is not None:
        return known
    permission = 200 <= code <= 299  # noqa: PLR2004 - Graph reserves this range for permissions
    return _Known(403 if permission else 400, f"(#{code}) The call was refused")


def missing_object(object_id: str, method: str) -> GraphError:
    """Return the error for an id that this token cannot see."""
    verb = method.lower()
    return GraphError(
        100,
        33,
        message=f"Unsupported {verb} request. Object with ID '{object_id}' does not exist, cannot"
        " be loaded due to missing permissions, or does not support this operation.",
    )


def invalid_parameter(name: str, complaint: str) -> GraphError:
    """Return the error for a parameter of the wrong shape."""
    return GraphError(100, message=f"(#100) Param {name} {complaint}")


def trace_id() -> str:
    """Return an `fbtrace_id`: by it, Meta finds a call in its logs."""
    return "A" + secrets.token_urlsafe(16)
