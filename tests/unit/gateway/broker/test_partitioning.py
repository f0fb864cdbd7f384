"""Keys go where Kafka's own clients put them, for ever."""

import aiokafka.partitioner
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.partitioning import murmur2, partition_of


# Murmur2 as in org.apache.kafka.common.utils.UtilsTest, sign bit off.
@pytest.mark.parametrize(
    ("key", "hash_value"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_is_kafkas(key, hash_value):
    for partitions in (1, 2, 8, 64, 1000):
        assert partition_of(key, partitions) == (hash_value & 0x7FFFFFFF) % partitions


@given(st.binary(max_size=300), st.integers(1, 1000))
def test_every_key_has_a_partition(key, partitions):
    assert 0 <= partition_of(key, partitions) < partitions


@given(st.binary(max_size=300))
def test_the_hash_is_that_of_the_client_that_we_use(data):
    assert murmur2(data) == aiokafka.partitioner.murmur2(data) & 0xFFFFFFFF
