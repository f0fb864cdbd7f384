"""What a message's content becomes in newer words."""

from datetime import UTC, datetime

import pytest

from gateway.db.messages import Message
from gateway.domain.message import AuthorKind, Direction, MessageStatus
from routing.replaying import content_after

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
FRESH = {"type": "text", "attachments": [], "text": "hello"}


def _message(content, **more):
    values = {
        "account_id": "acc_1",
        "id": "msg_1",
        "channel_id": "chn_1",
        "conversation_id": "cnv_1",
        "sequence": 1,
        "direction": Direction.INBOUND,
        "author_kind": AuthorKind.CONTACT,
        "status": MessageStatus.RECEIVED,
        "occurred_at": NOON,
        "accepted_at": NOON,
        **more,
    }
    return Message(content=content, **values)


def test_older_words_give_way_and_the_same_stay():
    assert content_after(_message({"type": "unsupported", "attachments": []}), FRESH) == FRESH
    assert content_after(_message(dict(FRESH)), FRESH) is None


@pytest.mark.parametrize("gone", ["unsent", "erased", "expired"])
def test_what_is_gone_stays_gone(gone):
    assert content_after(_message({"type": gone}), FRESH) is None


def test_what_was_taken_back_stays_so():
    assert content_after(_message({"type": "other"}, unsent_at=NOON), FRESH) is None


def test_an_edit_outlives_new_words():
    stored = {"type": "unsupported", "text": "later", "edit_number": 2}
    after = content_after(_message(stored, edited_at=NOON), FRESH)
    assert after == FRESH | {"text": "later", "edit_number": 2}


def test_what_we_added_to_attachments_stays_with_them():
    stored = {"type": "image", "attachments": [{"type": "file", "media_id": "med_1"}]}
    fresh = {"type": "image", "attachments": [{"type": "image", "url": "https://x"}]}
    assert content_after(_message(stored), fresh) == {
        "type": "image",
        "attachments": [{"type": "image", "url": "https://x", "media_id": "med_1"}],
    }
    more = {"type": "image", "attachments": [{"type": "image"}, {"type": "image"}]}
    assert content_after(_message(stored), more) == more


def test_ours_are_as_they_were_sent_and_the_pages_own_are_read_again():
    stored = {"type": "unsupported"}
    out = {"direction": Direction.OUTBOUND}
    assert content_after(_message(stored, **out, author_kind=AuthorKind.AGENT), FRESH) is None
    assert content_after(_message(stored, **out, author_kind=AuthorKind.PAGE), FRESH) == FRESH
