"""Record batches that no client library writes, and a client that writes them all the same."""

import struct
from typing import Final

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import for_code
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

# Where the checksum of a batch stands, and where begins what it is of.
_CHECKSUM_AT: Final = 17
_CHECKED_AT: Final = 21
_NO_PRODUCER: Final = -1
# As long as what stands in for it while the batch is built.
NOT_UTF8: Final = b"\xff\xfename"
_STAND_IN: Final = "Xname!"


def batch_with_bad_name(values: list[bytes], *, bad: int, at: int, key: bytes = b"key") -> bytes:
    """Return a batch in which one record has a header whose name is `NOT_UTF8`; times are `at`."""
    builder = DefaultRecordBatchBuilder(
        2, 0, 0, _NO_PRODUCER, _NO_PRODUCER, _NO_PRODUCER, 1024 * 1024
    )
    for n, value in enumerate(values):
        headers: list[tuple[str, bytes | None]] = [("ce_id", b"id")]
        if n == bad:
            headers += [(_STAND_IN, b"value"), ("empty", None)]
        assert builder.append(n, at, key, value, headers) is not None
    return spoilt(bytes(builder.build()), _STAND_IN.encode(), NOT_UTF8)


def spoilt(batch: bytes, old: bytes, new: bytes) -> bytes:
    """Return a batch with some bytes replaced, whose checksum is right."""
    checked = batch[_CHECKED_AT:].replace(old, new)
    checksum = struct.pack(">I", calc_crc32c(checked))
    return batch[:_CHECKSUM_AT] + checksum + checked


async def write_batch(bootstrap: str, topic: str, partition: int, batch: bytes) -> None:
    """Have a broker append a batch as it is."""
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    try:
        await client.set_topics([topic])
        leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        request = ProduceRequest(
            transactional_id=None,
            required_acks=-1,
            timeout=10_000,
            topics=[(topic, [(partition, batch)])],
        )
        answer = await client.send(leader, request)
        ((_topic, ((_partition, code, *_rest),)),) = answer.topics
        if code:
            raise for_code(code)
    finally:
        await client.close()
