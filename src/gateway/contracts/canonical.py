"""The product's one JSON parser for bodies from outside, and the canonical form of what it yields.

Both are frozen: event ids and the comparison of repeats hang on them. Golden vectors pin them.

The parser refuses what is not JSON by RFC 8259 (NaN, Infinity, a byte order mark, UTF-16, control
characters in strings, anything after the document), numbers that no double can hold, integers of
more than 600 digits, nesting over the limit and documents of too many values. Integers are exact.
Of a key that stands twice the last value wins. Escaped lone surrogates and NULs are legal JSON and
are kept; `scrub` replaces them where text goes on into the product.

It is the standard library's parser, told to be strict. Faster ones were tried: pydantic's refuses
lone surrogates, which people can send, and reads 1e999 as infinity; orjson reads 2^64 as a float.
`gateway.meta.plain` has orjson read the one form of body in which it cannot differ.
"""

import hashlib
import json
import math
import re
import threading
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias

import orjson

from gateway.errors import MalformedJsonError

# A parsed document or a part of one: who reads it looks at what it is.
Json: TypeAlias = Any

# Fewer than any Python can be told to refuse, so that the limit is ours on every machine.
MAX_INTEGER_DIGITS: Final = 600
REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"

_ESCAPE_TO_SCRUB: Final = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_TO_SCRUB: Final = re.compile("[\0\ud800-\udfff]")

_SENTENCES: Final = {
    "encoding": "The body is not UTF-8.",
    "syntax": "The body is not JSON.",
    "number": "The body has a number that cannot be read.",
    "too-deep": "The body nests too deep.",
    "too-many-values": "The body has too many values.",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """How deep containers may nest, and how many values, containers included, there may be."""

    depth: int
    values: int


BODY: Final = Limits(depth=64, values=100_000)
# A record of ours holds an item of a body once in the original and once in our words.
RECORD: Final = Limits(depth=2 * BODY.depth, values=4 * BODY.values)


class Parsed(NamedTuple):
    """A document, and in how many of its objects a key stood twice."""

    value: Json
    objects_with_repeated_keys: int


def parse_json(raw: bytes, *, limits: Limits = BODY) -> Json:
    """Return the document.

    Raises:
        MalformedJsonError: it is refused; `extra["reason"]` is `encoding`, `syntax`, `number`,
            `too-deep` or `too-many-values`.
    """
    return _parse(raw, _DECODER, limits)


def parse_json_noting_repeats(raw: bytes, *, limits: Limits = BODY) -> Parsed:
    """Return the document as `parse_json` does, and count the objects that repeat a key."""
    counting = _COUNTING
    counting.repeats = 0
    value = _parse(raw, counting.decoder, limits)
    return Parsed(value, counting.repeats)


def canonical(value: Json) -> bytes:
    r"""Return the canonical form of a parsed document: equal documents, equal bytes.

    Members are sorted by key, by code point, with no white space. An integer is written as the
    string of its decimal digits, so that an id sent as a number equals the same id sent as text.
    Other numbers are written as the shortest decimal that reads back equal, in Python's notation.
    Text is UTF-8; only `"`, `\`, control characters and lone surrogates are escaped.
    """
    return _to_bytes(_SORTED.encode(_integers_as_text(value)))


def canonical_hash(value: Json) -> bytes:
    """Return the SHA-256 of the canonical form."""
    return hashlib.sha256(canonical(value)).digest()


def compact(value: Json) -> bytes:
    """Return a document as small JSON that `parse_json` reads back equal, key order kept."""
    try:
        # It reads back equal, too, and takes a fraction of the time.
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        # Lone surrogates, integers of more than 64 bits, or very deep nesting.
        return _to_bytes(_COMPACT.encode(value))


def may_need_scrubbing(raw: bytes) -> bool:
    """Say whether a document's bytes escape a surrogate or a NUL; if not, `scrub` changes nothing.

    Astral characters (most emoji) are escaped as surrogates too, so yes means only perhaps.
    """
    return b"\\u" in raw and _ESCAPE_TO_SCRUB.search(raw) is not None


def scrub(value: Json) -> Json:
    """Return the document with lone surrogates and NULs replaced by U+FFFD, keys included.

    What comes back can be encoded as UTF-8 and stored in PostgreSQL, as text and as jsonb.
    """
    if isinstance(value, str):
        return _TO_SCRUB.sub(REPLACEMENT, value)
    if isinstance(value, dict):
        return {_TO_SCRUB.sub(REPLACEMENT, key): scrub(member) for key, member in value.items()}
    if isinstance(value, list):
        return [scrub(element) for element in value]
    return value


class _NumberError(ValueError):
    pass


def _integer(text: str) -> int:
    if len(text) > MAX_INTEGER_DIGITS:
        raise _NumberError
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _NumberError
    return number


def _refuse_constant(_text: str) -> NoReturn:
    raise _NumberError


_DECODER: Final = json.JSONDecoder(
    parse_int=_integer, parse_float=_finite, parse_constant=_refuse_constant
)


class _Counting(threading.local):
    """A decoder for each thread, and the repeated keys of the document that it reads."""

    def __init__(self) -> None:
        self.repeats = 0
        self.decoder = json.JSONDecoder(
            parse_int=_integer,
            parse_float=_finite,
            parse_constant=_refuse_constant,
            object_pairs_hook=self._members,
        )

    def _members(self, pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        members = dict(pairs)
        if len(members) != len(pairs):
            self.repeats += 1
        return members


_COUNTING: Final = _Counting()
_COMPACT: Final = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
)
_SORTED: Final = json.JSONEncoder(
    ensure_ascii=False,
    check_circular=False,
    allow_nan=False,
    sort_keys=True,
    separators=(",", ":"),
)


def _parse(raw: bytes, decoder: json.JSONDecoder, limits: Limits) -> Json:
    try:
        value = _scan(raw.decode(), decoder)
    except UnicodeDecodeError as error:
        raise _refusal("encoding") from error
    except _NumberError as error:
        raise _refusal("number") from error
    except ValueError as error:
        raise _refusal("syntax") from error
    except RecursionError as error:
        raise _refusal("too-deep") from error
    # Counting marks bounds depth and number of values from above, and nearly always suffices.
    containers = raw.count(b"{") + raw.count(b"[")
    if containers > limits.depth or containers + raw.count(b",") >= limits.values:
        _measure(value, limits)
    return value


def _scan(text: str, decoder: json.JSONDecoder) -> Json:
    """Return what the decoder makes of a text; nearly all begin and end with the document."""
    # It is the decoder's own, though typeshed does not know it.
    scan_once: Any = decoder.scan_once  # type: ignore[attr-defined]
    try:
        value, end = scan_once(text, 0)
    except StopIteration:
        pass
    else:
        if end == len(text):
            return value
    # White space around it, or a fault.
    _COUNTING.repeats = 0
    return decoder.decode(text)


def _refusal(reason: str) -> MalformedJsonError:
    return MalformedJsonError(_SENTENCES[reason], extra={"reason": reason})


def _measure(value: Json, limits: Limits) -> None:
    values = 1
    level = [value]
    depth = 0
    while level:
        containers = [each for each in level if isinstance(each, (dict, list))]
        if containers:
            depth += 1
        if depth > limits.depth:
            raise _refusal("too-deep")
        level = [
            member
            for container in containers
            for member in (container.values() if isinstance(container, dict) else container)
        ]
        values += len(level)
        if values > limits.values:
            raise _refusal("too-many-values")


def _to_bytes(text: str) -> bytes:
    # The only thing that UTF-8 cannot hold is a lone surrogate, and `\udXXX` is its JSON escape.
    return text.encode("utf-8", "backslashreplace")


def _integers_as_text(value: Json) -> Json:
    kind = type(value)
    if kind is int:
        return str(value)
    if kind is dict:
        return {key: _integers_as_text(member) for key, member in value.items()}
    if kind is list:
        return [_integers_as_text(element) for element in value]
    return value
