import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contracts.canonical import (
    BODY,
    Limits,
    canonical,
    canonical_hash,
    compact,
    may_need_scrubbing,
    parse_json,
    parse_json_noting_repeats,
    scrub,
)
from gateway.errors import MalformedJsonError

TEXTS = st.text(st.characters(exclude_categories=()))
DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=30,
)


def refusal(raw, **limits):
    with pytest.raises(MalformedJsonError) as caught:
        parse_json(raw, **limits)
    return caught.value.extra["reason"]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "syntax"),
        (b" \n", "syntax"),
        (b'{"a":1', "syntax"),
        (b'{"a":1,}', "syntax"),
        (b"[1,]", "syntax"),
        (b"{} {}", "syntax"),
        (b"{}x", "syntax"),
        (b"{/* no */}", "syntax"),
        (b"{'a':1}", "syntax"),
        (b"{a:1}", "syntax"),
        (b"\xef\xbb\xbf{}", "syntax"),
        ('{"a":"ä"}'.encode("utf-16"), "encoding"),
        ('{"a":1}'.encode("utf-16-le"), "syntax"),
        (b'"a\x01b"', "syntax"),
        (b'"a\nb"', "syntax"),
        (b'"\x00"', "syntax"),
        (b"NaN", "number"),
        (b"[Infinity]", "number"),
        (b"-Infinity", "number"),
        (b"1e999", "number"),
        (b"-1e999", "number"),
        (b"01", "syntax"),
        (b"+1", "syntax"),
        (b".5", "syntax"),
        (b"1.", "syntax"),
        (b"0x10", "syntax"),
        (b"9" * 5000, "number"),
        (b'"\\x41"', "syntax"),
        (b'"\\u12"', "syntax"),
        (b'"\xff"', "encoding"),
        (b'"\xc0\xaf"', "encoding"),
        (b'"\xed\xa0\x80"', "encoding"),
        (b'"\xed\xa0\xbd\xed\xb1\x8b"', "encoding"),
        (b"[" * 100_000, "too-deep"),
        (b"[" * 100_000 + b"]" * 100_000, "too-deep"),
    ],
)
def test_what_is_not_json_is_refused_with_a_reason(raw, reason):
    assert refusal(raw) == reason


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"null", None),
        (b' {"a" : [1]} \n', {"a": [1]}),
        (b"-0", 0),
        (b"9007199254740993", 2**53 + 1),
        (b"9223372036854775808", 2**63),
        (b"18446744073709551616", 2**64),
        (b"-18446744073709551616", -(2**64)),
        (b"9" * 600, int("9" * 600)),
        (b"0.1", 0.1),
        (b"1e-999", 0.0),
        (b"0." + b"1" * 1_000_000, 1 / 9),
        (b'"\\ud83d\\udc4b"', "\N{WAVING HAND SIGN}"),
        (b'"\\ud83d"', "\ud83d"),
        (b'"\\u0000"', "\0"),
        ('"\u202e\u200d\uffff"'.encode(), "\u202e\u200d\uffff"),
        (b'{"a":1,"b":2,"a":3}', {"a": 3, "b": 2}),
        (b'"' + b"x" * 1_000_000 + b'"', "x" * 1_000_000),
    ],
)
def test_what_is_json_is_read_exactly(raw, value):
    assert parse_json(raw) == value
    assert parse_json_noting_repeats(raw).value == value


def nested(depth):
    return b"[" * depth + b"]" * depth


def test_nesting_ends_at_the_limit():
    assert parse_json(nested(64))
    assert parse_json(b'{"a":' * 64 + b"1" + b"}" * 64)
    assert refusal(nested(65)) == "too-deep"
    assert refusal(nested(1_100)) == "too-deep"
    assert refusal(b"[" + nested(64) + b",1]") == "too-deep"
    # Many marks do not make it deep, nor do marks in text.
    assert len(parse_json(b"[" + b"[]," * 1_000 + b"[]]")) == 1_001
    assert parse_json(b'"' + b"[" * 1_000 + b'"') == "[" * 1_000


def test_the_number_of_values_ends_at_the_limit():
    limits = Limits(depth=64, values=10)
    assert parse_json(b"[1,2,3,4,5,6,7,8,9]", limits=limits)
    assert refusal(b"[1,2,3,4,5,6,7,8,9,10]", limits=limits) == "too-many-values"
    assert parse_json(b'{"a":[1,2,3,4],"b":{"c":1,"d":2,"e":[]}}', limits=limits)
    assert refusal(b'{"a":[1,2,3,4],"b":{"c":1,"d":2,"e":[0]}}', limits=limits)
    # Commas in text are no values.
    assert parse_json(b'[",,,,,,,,,,,,,"]', limits=limits)
    assert refusal(b"[" + b"0," * 1_000_000 + b"0]") == "too-many-values"
    keys = b",".join(b'"%d":0' % number for number in range(1_000_000))
    assert refusal(b"{" + keys + b"}") == "too-many-values"
    assert BODY.values == 100_000


def test_repeated_keys_are_counted_by_object():
    repeating = parse_json_noting_repeats(b'{"a":1,"a":2,"a":3,"b":{"c":1,"c":1}}')
    assert repeating.objects_with_repeated_keys == 2
    plain = parse_json_noting_repeats(b'{"a":{"b":1},"b":[{"a":1}]}')
    assert plain.objects_with_repeated_keys == 0


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        # Frozen: event ids and the comparison of repeats hang on these bytes.
        (b'{"b":1,"a":[true,null,"x"]}', b'{"a":[true,null,"x"],"b":"1"}'),
        (b'{"id":18446744073709551616}', b'{"id":"18446744073709551616"}'),
        (b'{"id":"18446744073709551616"}', b'{"id":"18446744073709551616"}'),
        (b"[-0, 0, -7]", b'["0","0","-7"]'),
        (b"[0.1, 1.0, 1e22, -0.0]", b"[0.1,1.0,1e+22,-0.0]"),
        ('"é\U0001f44b"'.encode(), '"é\U0001f44b"'.encode()),
        (b'"\\u00e9\\ud83d\\udc4b\\/"', '"é\U0001f44b/"'.encode()),
        (b'"\\ud83d\\u0000\\n\\u001f\\\\ud83d\\u007f"', b'"\\ud83d\\u0000\\n\\u001f\\\\ud83d\x7f"'),
        (
            '{"z":1,"é":2,"Z":3,"\U0001f44b":4,"\ufb01":5}'.encode(),
            '{"Z":"3","z":"1","é":"2","\ufb01":"5","\U0001f44b":"4"}'.encode(),
        ),
        (b"{}", b"{}"),
    ],
)
def test_the_canonical_form_is_frozen(raw, expected):
    assert canonical(parse_json(raw)) == expected


def test_the_canonical_hash_is_frozen():
    value = parse_json(b'{"mid":"m_1","ids":[1,2.5,"\\ud800"]}')
    assert canonical_hash(value).hex() == (
        "534ede3e68e9c2eadc2ecef9cc52c5fc05e035b2837485a12a25247c2f1d5bd9"
    )


@given(DOCUMENTS)
def test_compact_reads_back_equal(document):
    assert parse_json(compact(document), limits=Limits(1_000, 10**6)) == document


@given(DOCUMENTS)
def test_the_canonical_form_ignores_the_order_of_keys(document):
    def reversed_keys(value):
        if isinstance(value, dict):
            return {key: reversed_keys(value[key]) for key in reversed(value)}
        return [reversed_keys(each) for each in value] if isinstance(value, list) else value

    assert canonical(reversed_keys(document)) == canonical(document)


@given(DOCUMENTS, DOCUMENTS)
def test_different_documents_have_different_canonical_forms(one, other):
    def strict(value):
        """Make of a document what tells 1 from True, 0.0 from -0.0, but not 1 from "1"."""
        if isinstance(value, dict):
            return ("object", sorted((key, strict(each)) for key, each in value.items()))
        if isinstance(value, list):
            return ("array", [strict(each) for each in value])
        if type(value) is int:
            return ("text", str(value))
        if isinstance(value, str):
            return ("text", value)
        return (type(value).__name__, repr(value))

    assert (canonical(one) == canonical(other)) == (repr(strict(one)) == repr(strict(other)))


@given(DOCUMENTS)
def test_what_is_scrubbed_can_be_stored_anywhere(document):
    raw = compact(document)
    clean = scrub(document)
    stored = json.dumps(clean, ensure_ascii=False).encode()
    assert b"\\u0000" not in stored.replace(b"\\\\", b"")
    assert scrub(clean) == clean
    if not may_need_scrubbing(raw):
        assert clean == document


@pytest.mark.parametrize("raw", [b'"\\ud83d"', b'"\\uD83D\\uDE00"', b'"\\u0000"', b'{"\\udfff":1}'])
def test_escapes_that_may_need_scrubbing_are_seen(raw):
    assert may_need_scrubbing(raw)


def test_scrubbing_keeps_what_is_legal():
    assert scrub({"a\0": ["\ud83d!", "\U0001f44b", 1, None]}) == {
        "a\ufffd": ["\ufffd!", "\U0001f44b", 1, None]
    }


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw):
    try:
        value = parse_json(raw)
    except MalformedJsonError:
        return
    assert not isinstance(value, float) or math.isfinite(value)
