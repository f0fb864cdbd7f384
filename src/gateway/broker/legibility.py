"""Lets a consumer read on past records that aiokafka cannot decode.

Brokers check a record's frame and no more, so anybody who may write can leave one whose header has
a name that is not UTF-8. aiokafka fails on it in the middle of a batch, and again whenever the
batch is read, for ever. Here such batches are put into words that it can decode before it sees
them, so that the record reaches whoever handles it and can be set aside there.

Layout: https://kafka.apache.org/41/implementation/message-format/
"""

import struct
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, codec
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c, decode_varint, encode_varint

# The name of a header that holds, as its value, a header's name that is not UTF-8. It reads as an
# attribute of CloudEvents that is not text, which nobody takes for an event.
UNDECODABLE: Final = "ce_undecodable"

# First offset and length; then leader epoch, magic and checksum; then attributes, last offset's
# delta, two timestamps, producer and epoch, first sequence number; then the count of records.
_FRAME: Final = struct.Struct(">qi")
_CHECKED: Final = struct.Struct(">ibI")
_ATTRIBUTES: Final = struct.Struct(">hiqqqhi")
_COUNT: Final = struct.Struct(">i")
_CHECKED_AT: Final = _FRAME.size + _CHECKED.size
_COUNT_AT: Final = _CHECKED_AT + _ATTRIBUTES.size
_RECORDS_AT: Final = _COUNT_AT + _COUNT.size
_MAGIC: Final = 2
_CODECS: Final = 0x07
_CONTROL: Final = 0x20
_DECODERS: Final = {
    1: codec.gzip_decode,
    2: codec.snappy_decode,
    3: codec.lz4_decode,
    4: codec.zstd_decode,
}
_LONGEST_VARINT: Final = 10
_MALFORMED: Final = (IndexError, OverflowError, ValueError, struct.error)


def read_everything(consumer: AIOKafkaConsumer) -> None:
    """Let a consumer, not yet started, be given only what it can decode."""
    client = consumer._client  # noqa: SLF001 - there is no other place before the decoding
    send = client.send

    async def send_and_look(node_id: int, request: Any, **options: Any) -> Any:  # noqa: ANN401
        response = await send(node_id, request, **options)
        if isinstance(request, FetchRequest):
            # The records are the last field of a partition in every version of the answer.
            response.topics = [
                (topic, [(*partition[:-1], legible(partition[-1])) for partition in partitions])
                for topic, partitions in response.topics
            ]
        return response

    client.send = send_and_look


def legible(message_set: bytes | None) -> bytes | None:
    """Return a message set in which aiokafka can decode each record; most are returned as is.

    A record whose headers cannot be decoded keeps its key and value; header names become text with
    backslashes, and `UNDECODABLE` is added. One that is beyond that is the value of a record
    without key and headers. What fails its checksum stays as it is: reading again may help there.
    """
    if not message_set or _decodes(message_set):
        return message_set
    pieces: list[bytes] = []
    at = 0
    while at + _RECORDS_AT <= len(message_set):
        _offset, length = _FRAME.unpack_from(message_set, at)
        end = at + _FRAME.size + length
        # The last one may be cut off; it comes whole with the next answer.
        if length <= 0 or end > len(message_set):
            break
        batch = message_set[at:end]
        pieces.append(batch if _decodes(batch) else _rewritten(batch))
        at = end
    return b"".join([*pieces, message_set[at:]])


def _decodes(message_set: bytes) -> bool:
    # It costs a microsecond a record, which is little beside what is done with it.
    records = MemoryRecords(message_set)
    try:
        while records.has_next():
            batch = records.next_batch()
            if not batch.is_control_batch:
                for _record in batch:
                    pass
    # Whatever it is, aiokafka would fail on it as well.
    except Exception:  # noqa: BLE001
        return False
    return True


def _rewritten(batch: bytes) -> bytes:
    epoch, magic, checksum = _CHECKED.unpack_from(batch, _FRAME.size)
    attributes, *rest = _ATTRIBUTES.unpack_from(batch, _CHECKED_AT)
    if magic != _MAGIC or attributes & _CONTROL or calc_crc32c(batch[_CHECKED_AT:]) != checksum:
        return batch
    (count,) = _COUNT.unpack_from(batch, _COUNT_AT)
    try:
        decode = _DECODERS.get(attributes & _CODECS, bytes)
        buffer = bytearray(decode(batch[_RECORDS_AT:]))
        records = bytearray()
        at = 0
        for index in range(count):
            length, at = decode_varint(buffer, at)
            _append(records, _legible_record(buffer[at : at + length], index))
            at += length
    # A codec may raise anything.
    except Exception:  # noqa: BLE001
        return batch
    body = _ATTRIBUTES.pack(attributes & ~_CODECS, *rest) + batch[_COUNT_AT:_RECORDS_AT] + records
    first_offset, _length = _FRAME.unpack_from(batch)
    return (
        _FRAME.pack(first_offset, _CHECKED.size + len(body))
        + _CHECKED.pack(epoch, magic, calc_crc32c(body))
        + body
    )


def _legible_record(record: bytearray, index: int) -> bytes:
    try:
        headers_at = _after_value(record)
        headers, end = _headers(record, headers_at)
        if end != len(record):
            return _opaque(record, index)
    except _MALFORMED:
        return _opaque(record, index)
    written = record[:headers_at]
    encode_varint(len(headers), written.append)
    for name, value in headers:
        _append(written, name)
        if value is None:
            encode_varint(-1, written.append)
        else:
            _append(written, value)
    return bytes(written)


def _varint(record: bytearray, at: int) -> tuple[int, int]:
    # The decoder is written in C, and reads past the end of what it is given.
    if at >= len(record):
        raise IndexError("a number beyond the record's end")
    value, used = decode_varint(
        bytes(record[at : at + _LONGEST_VARINT]) + bytes(_LONGEST_VARINT), 0
    )
    return int(value), at + int(used)


def _after_value(record: bytearray) -> int:
    # Attributes, then the deltas of time and offset.
    _, at = _varint(record, 0)
    _, at = _varint(record, at)
    _, at = _varint(record, at)
    for _part in ("key", "value"):
        length, at = _varint(record, at)
        at += max(0, length)
    return at


def _headers(record: bytearray, at: int) -> tuple[list[tuple[bytes, bytes | None]], int]:
    headers: list[tuple[bytes, bytes | None]] = []
    count, at = _varint(record, at)
    for _ in range(count):
        length, at = _varint(record, at)
        if length < 0:
            raise ValueError("a name without a length")
        name, at = bytes(record[at : at + length]), at + length
        length, at = _varint(record, at)
        value = None if length < 0 else bytes(record[at : at + length])
        at += max(0, length)
        text = name.decode(errors="backslashreplace").encode()
        headers.append((text, value))
        if text != name:
            headers.append((UNDECODABLE.encode(), name))
    return headers, at


def _opaque(record: bytearray, index: int) -> bytes:
    # No attributes, the batch's first time, its place in the batch, no key.
    written = bytearray(b"\0\0")
    encode_varint(index, written.append)
    encode_varint(-1, written.append)
    _append(written, bytes(record))
    encode_varint(0, written.append)
    return bytes(written)


def _append(written: bytearray, part: bytes) -> None:
    encode_varint(len(part), written.append)
    written += part
