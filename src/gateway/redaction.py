"""Takes out of log lines what must not stand there: secrets, and the ids and words of people.

A backstop: whoever writes a log line leaves these out already. Ids of people are replaced by a
keyed hash, the same in every process of an installation, so that lines can still be matched.
"""

import hashlib
import re
import sys
import traceback
from collections.abc import Callable
from typing import Final

from structlog.typing import EventDict

REDACTED: Final = "[redacted]"

# Names of fields whose values are never shown, whatever they look like.
_SECRET_NAME: Final = re.compile(
    r"secret|token|password|passwd|authorization|signature|appsecret_proof|cookie|api_key"
    r"|^(text|body|content|name|first_name|last_name|email|phone|payload)$",
    re.IGNORECASE,
)
# Names of fields that hold somebody's id at Meta or at a third party.
_PERSON_NAME: Final = re.compile(r"psid|igsid|source_contact_id|recipient|sender_id|user_id")
_SECRETS: Final = re.compile(
    r"""
    (?P<keep>
        \b(?:access_token|appsecret_proof|client_secret|hub\.verify_token|fb_exchange_token|code
            |state|signed_request)=
        |\b(?:Bearer|Basic)\s+
        |://[^/\s:@]+:
    )
    [^\s&"'@]+
    |\bEAA[A-Za-z0-9]{10,}
    |\bwhs[ekp][ck]_[A-Za-z0-9+/=]+
    |\bcgk_[A-Za-z0-9_-]+
    |\bsha(?:1|256)=[0-9A-Fa-f]{20,}
    """,
    re.VERBOSE,
)
# Page-scoped ids have 15 digits or more; the keys of Kafka records end with one.
_PERSON: Final = re.compile(r"(?<![0-9A-Za-z])[0-9]{15,20}(?![0-9A-Za-z])")
_KEY: Final = re.compile(r"\b((?:messenger|instagram|third_party):[^:\s]+:)([^\s\"',]+)")
_DEEPEST: Final = 6


class Redactor:
    """A structlog processor."""

    def __init__(self, key: bytes) -> None:
        """Take the key of the hash; the same key in all processes makes lines match."""
        self._key = hashlib.sha256(b"log ids" + key).digest()

    def __call__(self, _logger: object, _method: str, event: EventDict) -> EventDict:
        """Return the line as it may be shown."""
        return {name: self._field(name, value, 0) for name, value in event.items()}

    def text(self, value: str) -> str:
        """Return a text without secrets and ids of people."""
        value = _SECRETS.sub(lambda match: f"{match['keep'] or ''}{REDACTED}", value)
        value = _KEY.sub(lambda match: match[1] + self._hashed(match[2]), value)
        return _PERSON.sub(lambda match: self._hashed(match[0]), value)

    def _field(self, name: str, value: object, depth: int) -> object:
        if _SECRET_NAME.search(name) and value is not None and not isinstance(value, bool):
            return REDACTED
        if _PERSON_NAME.search(name) and isinstance(value, str | int):
            return self._hashed(str(value))
        return self._value(value, depth)

    def _value(self, value: object, depth: int) -> object:
        match value:
            case None | bool() | int() | float():
                return value
            case dict() if depth < _DEEPEST:
                return {
                    str(name): self._field(str(name), each, depth + 1)
                    for name, each in value.items()
                }
            case list() | tuple() | set() | frozenset() if depth < _DEEPEST:
                return [self._value(each, depth + 1) for each in value]
            case _:
                return self.text(str(value))

    def _hashed(self, value: str) -> str:
        digest = hashlib.blake2b(value.encode("utf-8", "replace"), key=self._key, digest_size=6)
        return f"#{digest.hexdigest()}"


class ExceptionFormatter:
    """A structlog processor that turns an exception into frames and names of types.

    What an exception says may quote what people wrote (the database's does), so it is shown only
    where somebody develops.
    """

    def __init__(self, *, show_messages: bool) -> None:
        self._show_messages = show_messages

    def __call__(self, _logger: object, _method: str, event: EventDict) -> EventDict:
        """Return the line with `exception` instead of `exc_info`."""
        error = _exception(event.pop("exc_info", None))
        if error is not None:
            event["exception"] = self.format(error)
        return event

    def format(self, error: BaseException) -> str:
        """Return an exception, and what it came from, as text."""
        lines: list[str] = []
        self._add(error, lines.append, "", set())
        return "\n".join(lines)

    def _add(
        self, error: BaseException, add: Callable[[str], None], indent: str, seen: set[int]
    ) -> None:
        if id(error) in seen:
            return
        seen.add(id(error))
        earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if earlier is not None:
            self._add(earlier, add, indent, seen)
            add(f"{indent}then, because of it or while handling it:")
        for frame in traceback.extract_tb(error.__traceback__):
            add(f"{indent}  {frame.filename}:{frame.lineno} in {frame.name}")
        cls = type(error)
        said = f": {error}" if self._show_messages else ""
        add(f"{indent}{cls.__module__}.{cls.__qualname__}{said}")
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions:
                add(f"{indent}  with:")
                self._add(each, add, indent + "    ", seen)


def _exception(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple) and len(exc_info) > 1:
        found = exc_info[1]
        return found if isinstance(found, BaseException) else None
    if exc_info:
        return sys.exc_info()[1]
    return None
