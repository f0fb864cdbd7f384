"""One question to a Kafka broker: who are you?"""

import asyncio
import struct
from typing import Final

# https://kafka.apache.org/protocol: Metadata is key 3; version 1 is the oldest whose empty list of
# topics means none, and every broker speaks it.
_METADATA: Final = 3
_VERSION: Final = 1
_CORRELATION: Final = 1
_NO_CLIENT_ID: Final = -1
_LONGEST_ANSWER: Final = 64 * 1024


async def broker_answers(host: str, port: int, *, seconds: float = 2.0) -> bool:
    """Tell whether a broker that knows itself to be part of a cluster answers there."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                request = struct.pack(">hhihi", _METADATA, _VERSION, _CORRELATION, _NO_CLIENT_ID, 0)
                writer.write(struct.pack(">i", len(request)) + request)
                (length,) = struct.unpack(">i", await reader.readexactly(4))
                answer = await reader.readexactly(min(length, _LONGEST_ANSWER))
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
    if len(answer) < struct.calcsize(">ii"):
        return False
    correlation: int
    brokers: int
    correlation, brokers = struct.unpack_from(">ii", answer)
    return correlation == _CORRELATION and brokers > 0
