"""Every item of the corpus reads the same when it is read again from what its event keeps."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.meta.again import normalise_again
from gateway.meta.normalise import normalise

PAYLOADS = Path(__file__).parents[3] / "support" / "payloads"
ARRIVED = datetime(2026, 3, 2, 12, tzinfo=UTC)
BODIES = sorted(
    path for kind in ("messenger", "instagram") for path in (PAYLOADS / kind).rglob("*.json")
)
MESSAGES = (
    "gateway.message.received.v1",
    "gateway.message.echoed.v1",
    "gateway.postback.received.v1",
)


@pytest.mark.parametrize("path", BODIES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_message_is_the_same_again(path):
    events = normalise(path.read_bytes(), meta_app_id="1", received_at=ARRIVED).events
    for event in events:
        if event.type not in MESSAGES:
            continue
        again = normalise_again(event, arrived_at=ARRIVED)
        assert (again.type, again.data, again.contact_id) == (
            event.type,
            event.data,
            event.contact_id,
        )
        if event.data.get("id") is not None:
            assert again.id == event.id


def test_the_corpus_has_messages():
    assert len(BODIES) >= 20
