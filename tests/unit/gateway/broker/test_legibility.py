"""Batches are put into words that aiokafka can decode, and only those that it cannot."""

import gzip

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from tests.support.malformed_records import NOT_UTF8, batch_with_bad_name, spoilt

from gateway.broker.legibility import UNDECODABLE, legible

AT = 1_700_000_000_000


def records(message_set):
    found = []
    batches = MemoryRecords(message_set)
    while batches.has_next():
        batch = batches.next_batch()
        assert batch.validate_crc()
        found += [(r.offset, r.timestamp, r.key, r.value, r.headers) for r in batch]
    return found


def good(*values):
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 100_000)
    for n, value in enumerate(values):
        builder.append(n, AT, b"key", value, [("ce_id", b"id")])
    return bytes(builder.build())


def at_offset(offset, batch):
    return offset.to_bytes(8, "big") + batch[8:]


def test_what_can_be_decoded_is_not_touched():
    message_set = good(b"1", b"2")
    assert legible(message_set) is message_set
    assert legible(b"") == b""
    assert legible(None) is None


def test_a_name_that_is_not_text_is_told_as_text_and_marked():
    message_set = batch_with_bad_name([b"1", b"2", b"3"], bad=1, at=AT)
    with pytest.raises(UnicodeDecodeError):
        records(message_set)
    first, second, third = records(legible(message_set))
    assert first == (0, AT, b"key", b"1", [("ce_id", b"id")])
    assert second == (
        1,
        AT,
        b"key",
        b"2",
        [
            ("ce_id", b"id"),
            ("\\xff\\xfename", b"value"),
            (UNDECODABLE, NOT_UTF8),
            ("empty", None),
        ],
    )
    assert third == (2, AT, b"key", b"3", [("ce_id", b"id")])


def test_the_batches_around_it_and_the_one_cut_off_stay_as_they_are():
    before, bad = good(b"1", b"2"), batch_with_bad_name([b"3"], bad=0, at=AT)
    after = at_offset(3, good(b"4"))
    message_set = before + at_offset(2, bad) + after + at_offset(4, good(b"5"))[:70]
    told = legible(message_set)
    assert told.startswith(before)
    assert told.endswith(message_set[len(before) + len(bad) :])
    assert [(offset, value) for offset, _, _, value, _ in records(told)] == [
        (0, b"1"),
        (1, b"2"),
        (2, b"3"),
        (3, b"4"),
    ]


def test_what_is_compressed_is_unpacked():
    plain = batch_with_bad_name([b"1", b"2"], bad=0, at=AT)
    packed = gzip.compress(plain[61:])
    batch = plain[:8] + (49 + len(packed)).to_bytes(4, "big") + plain[12:21]
    batch = spoilt(batch + b"\0\1" + plain[23:61] + packed, b"", b"")
    assert records(legible(batch)) == records(legible(plain))


@pytest.mark.parametrize("from_key", [-1, 3], ids=["key", "value"])
def test_a_record_beyond_that_is_the_value_of_one_without_key(from_key):
    message_set = good(b"1", b"22222222", b"3")
    # The length of the second record's key, or of its value, is a lie.
    at = message_set.index(b"key", message_set.index(b"key") + 1) + from_key
    lie = message_set[:at] + b"\x7f" + message_set[at + 1 :]
    _, second, third = records(legible(spoilt(lie, b"", b"")))
    assert second[:3] == (1, AT, None)
    assert b"22222222"[:3] in second[3]
    assert second[4] == []
    assert third[3] == b"3"


def test_what_fails_its_checksum_stays_as_it_is():
    message_set = batch_with_bad_name([b"1"], bad=0, at=AT)
    damaged = message_set[:-1] + b"\x55"
    assert legible(damaged) == damaged
