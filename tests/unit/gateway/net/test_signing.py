"""Signatures that others' libraries verify, and the specification's vector."""

import base64
import json
from datetime import UTC, datetime

import pytest
import standardwebhooks
import svix.webhooks

from gateway.clock import true_now
from gateway.net.signing import generate_signing_secret, sign

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = json.dumps({"text": "Grüße, 😀"}, ensure_ascii=False).encode()


def test_the_specifications_vector():
    headers = sign(
        b'{"test": 2432232314}',
        webhook_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        at=datetime.fromtimestamp(1614265330, UTC),
        signing_secrets=[SECRET],
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.parametrize(
    "library",
    [standardwebhooks.Webhook, svix.webhooks.Webhook],
    ids=["standardwebhooks", "svix"],
)
def test_libraries_of_others_verify_with_either_secret_while_one_rotates(library):
    new, old = generate_signing_secret(), generate_signing_secret()
    headers = sign(BODY, webhook_id="evt_1", at=true_now(), signing_secrets=[new, old])
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (new, old):
        library(secret).verify(BODY, headers)
    with pytest.raises(Exception, match="No matching signature"):
        library(generate_signing_secret()).verify(BODY, headers)
    with pytest.raises(Exception, match="No matching signature"):
        library(new).verify(BODY.replace(b"G", b"g"), headers)


def test_the_zone_of_the_moment_does_not_matter():
    moment = datetime.fromisoformat("2026-03-02T14:00:00+02:00")
    in_utc = sign(BODY, webhook_id="a", at=moment.astimezone(UTC), signing_secrets=[SECRET])
    assert sign(BODY, webhook_id="a", at=moment, signing_secrets=[SECRET]) == in_utc


def test_secrets_are_long_and_new():
    secrets = {generate_signing_secret() for _ in range(100)}
    assert len(secrets) == 100
    for secret in secrets:
        assert secret.startswith("whsec_")
        assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
