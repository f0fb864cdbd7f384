"""Where servers of tests keep their files."""

import os
from pathlib import Path
from typing import Final

_MEMORY: Final = Path("/dev/shm")
# A database is 11 MiB; a few tests fill one with a million rows.
_ENOUGH_BYTES: Final = 4 * 1024**3


def scratch_parent() -> Path | None:
    """Return a place in memory, or None for the usual one where that has no room.

    Over a thousand tests make a database of three hundred files each. On a disk that is most of
    what they take, and they promise nothing about disks.
    """
    try:
        room = os.statvfs(_MEMORY)
    except OSError:
        return None
    free = min(
        room.f_bavail * room.f_frsize, os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    )
    return _MEMORY if free >= _ENOUGH_BYTES and os.access(_MEMORY, os.W_OK) else None
