import base64
import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.meta.signature import (
    MalformedSignedRequestError,
    SignedRequest,
    WrongSignedRequestSignatureError,
    appsecret_proof,
    parse_signed_request,
    signature_header,
    verify,
)

SECRET = b"0123456789abcdef0123456789abcdef"
OLD_SECRET = b"fedcba9876543210fedcba9876543210"
BODY = b'{"object":"page","text":"\\u00e4\\u00f6\\u00e5"}'
RIGHT = signature_header(BODY, SECRET).encode()
SHA1 = b"sha1=" + hmac.new(SECRET, BODY, hashlib.sha1).hexdigest().encode()
BASE64 = b"sha256=" + base64.b64encode(hmac.digest(SECRET, BODY, "sha256"))

REFUSED = {
    "none": [],
    "empty": [b""],
    "only the name": [b"sha256="],
    "63 digits": [RIGHT[:-1]],
    "65 digits": [RIGHT + b"0"],
    "no hexadecimal": [b"sha256=" + b"g" * 64],
    "upper-case name": [RIGHT.replace(b"sha256", b"SHA256")],
    "space before": [b" " + RIGHT],
    "space after": [RIGHT + b" "],
    "space inside": [RIGHT.replace(b"=", b"= ")],
    "line feed after": [RIGHT + b"\n"],
    "SHA-1": [SHA1],
    "SHA-1's digits": [SHA1.replace(b"sha1", b"sha256")],
    "two, the same": [RIGHT, RIGHT],
    "two, different": [RIGHT, signature_header(BODY, OLD_SECRET).encode()],
    "a list": [RIGHT + b"," + RIGHT],
    "base64": [BASE64],
    "another app's": [signature_header(BODY, b"another").encode()],
    "an empty secret's": [signature_header(BODY, b"").encode()],
    "no ASCII": [b"sha256=" + "ä".encode() * 32],
    "Latin-1": [b"sha256=" + b"\xe4" * 64],
    "Arabic digits": [b"sha256=" + "٣".encode() * 64],
    "a NUL": [RIGHT[:-1] + b"\0"],
    "8 KB": [b"sha256=" + b"0" * 8192],
    "of the text decoded": [
        signature_header(json.dumps(json.loads(BODY), ensure_ascii=False).encode(), SECRET).encode()
    ],
}


@pytest.mark.parametrize("case", REFUSED)
def test_anything_but_one_right_header_is_refused(case):
    assert not verify(BODY, REFUSED[case], [SECRET])


def test_the_signature_of_the_raw_bytes_holds_in_either_case():
    expected = hmac.new(SECRET, BODY, hashlib.sha256).hexdigest()
    assert b"sha256=" + expected.encode() == RIGHT
    assert verify(BODY, [RIGHT], [SECRET])
    assert verify(BODY, [b"sha256=" + expected.upper().encode()], [SECRET])


def test_a_known_vector_holds():
    # RFC 4231, test case 2.
    digest = b"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert verify(b"what do ya want for nothing?", [b"sha256=" + digest], [b"Jefe"])


def test_each_of_two_live_secrets_counts():
    old = signature_header(BODY, OLD_SECRET).encode()
    assert verify(BODY, [old], [SECRET, OLD_SECRET])
    assert verify(BODY, [RIGHT], [SECRET, OLD_SECRET])
    assert not verify(BODY, [old], [SECRET])


def test_without_a_secret_nothing_is_valid():
    assert not verify(BODY, [RIGHT], [])
    assert not verify(BODY, [signature_header(BODY, b"").encode()], [b""])
    assert not verify(b"", [signature_header(b"", b"").encode()], [b"", SECRET])


@given(st.binary(), st.binary(min_size=1))
def test_what_we_sign_verifies_and_nothing_near_it(body, secret):
    header = signature_header(body, secret).encode()
    assert verify(body, [header], [secret])
    assert not verify(body + b"x", [header], [secret])
    assert not verify(body, [header], [secret + b"x"])


@given(st.lists(st.binary() | st.text().map(str.encode), max_size=3))
def test_any_header_values_are_refused_without_an_error(values):
    assert not verify(BODY, values, [SECRET])


def test_the_proof_is_the_tokens_signature():
    expected = hmac.new(SECRET, b"EAAtoken", hashlib.sha256).hexdigest()
    assert appsecret_proof("EAAtoken", SECRET) == expected


def segment(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed_request(payload, secret=SECRET):
    encoded = segment(payload if isinstance(payload, bytes) else json.dumps(payload).encode())
    return f"{segment(hmac.digest(secret, encoded.encode(), 'sha256'))}.{encoded}"


PERSON = {"algorithm": "HMAC-SHA256", "issued_at": 1795258800, "expires": 0, "user_id": "2188"}


def test_a_signed_request_names_the_person():
    assert parse_signed_request(signed_request(PERSON), [SECRET]) == SignedRequest("2188", PERSON)
    rotated = parse_signed_request(signed_request(PERSON, OLD_SECRET), [SECRET, OLD_SECRET])
    assert rotated.user_id == "2188"
    as_number = parse_signed_request(signed_request(PERSON | {"user_id": 2188}), [SECRET])
    assert as_number.user_id == "2188"
    lower = signed_request(PERSON | {"algorithm": "hmac-sha256"})
    assert parse_signed_request(lower, [SECRET]).user_id == "2188"


def test_padding_is_read_over():
    signature, payload = signed_request(PERSON | {"pad": "x"}).split(".")
    assert parse_signed_request(f"{signature}=.{payload}", [SECRET]).user_id == "2188"


MALFORMED = {
    "empty": "",
    "no dot": "abc",
    "two dots": "a.b.c",
    "no signature": ".eyJ9",
    "no payload": "YWJj.",
    "no base64url": "a+b/.eyJ9",
    "spaces": " YWJj.YWJj",
    "impossible length": "YWJjZ.YWJj",
    "no ASCII": "YWJj.ä",
    "payload is no JSON": signed_request(b"hello"),
    "payload is no base64": f"{segment(hmac.digest(SECRET, b'YWJjZ', 'sha256'))}.YWJjZ",
    "payload is no object": signed_request(["x"]),
    "nobody": signed_request({"algorithm": "HMAC-SHA256"}),
    "an empty id": signed_request(PERSON | {"user_id": ""}),
    "an odd id": signed_request(PERSON | {"user_id": ["1"]}),
    "true for an id": signed_request(PERSON | {"user_id": True}),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_cannot_be_read_is_malformed(case):
    with pytest.raises(MalformedSignedRequestError):
        parse_signed_request(MALFORMED[case], [SECRET])


WRONG = {
    "another secret": signed_request(PERSON, b"another"),
    "an empty secret": signed_request(PERSON, b""),
    "another payload": f"{signed_request(PERSON).split('.')[0]}.{segment(b'{}')}",
    "a short signature": f"YWJj.{segment(json.dumps(PERSON).encode())}",
    "another algorithm": signed_request(PERSON | {"algorithm": "HMAC-SHA1"}),
    "no algorithm": signed_request({"user_id": "2188"}),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_signed_by_us_is_a_wrong_signature(case):
    with pytest.raises(WrongSignedRequestSignatureError):
        parse_signed_request(WRONG[case], [SECRET, b""])


def test_without_a_secret_no_signed_request_holds():
    with pytest.raises(WrongSignedRequestSignatureError):
        parse_signed_request(signed_request(PERSON), [])


@given(st.text())
def test_any_text_is_refused_with_one_of_two_errors(text):
    with pytest.raises((MalformedSignedRequestError, WrongSignedRequestSignatureError)):
        parse_signed_request(text, [SECRET])
