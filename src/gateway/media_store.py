"""Where media lies: a folder, or an object store named by its URL (S3, GCS, Azure)."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Self

import obstore
from obstore.store import LocalStore, ObjectStore, from_url

_CHUNK_BYTES: Final = 256 * 1024
# S3 takes no smaller parts, but for the last one.
_PART_BYTES: Final = 5 * 1024 * 1024
_PARTS_AT_ONCE: Final = 2


class MediaStore:
    """Keeps media by account and id; nothing of the store's own is shown outside."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @classmethod
    def at(cls, media_url: str, *, data_dir: str) -> Self:
        """Return the store of MEDIA_URL, or the folder `media` of the data directory."""
        if media_url:
            return cls(from_url(media_url))
        folder = Path(data_dir).resolve() / "media"
        folder.mkdir(parents=True, exist_ok=True)
        return cls(LocalStore(prefix=folder))

    async def put(self, account_id: str, media_id: str, file: BinaryIO) -> str:
        """Store a file, from its beginning, and return the path by which it can be read again.

        It is read and sent in parts, so that it is never in memory whole.
        """
        path = path_of(account_id, media_id)
        file.seek(0)
        await obstore.put_async(
            self._store,
            path,
            _chunks(file),
            use_multipart=True,
            chunk_size=_PART_BYTES,
            max_concurrency=_PARTS_AT_ONCE,
        )
        return path

    async def read(
        self, path: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """Yield what was stored, in parts: all of it, or the bytes from `start` up to `end`.

        Raises:
            FileNotFoundError: There is nothing at that path any more.
        """
        found = await obstore.get_async(
            self._store, path, options=None if end is None else {"range": (start, end)}
        )
        async for part in found.stream(min_chunk_size=_CHUNK_BYTES):
            yield bytes(part)

    async def delete(self, path: str) -> None:
        """Delete what was stored; what is not there is deleted already."""
        try:
            await obstore.delete_async(self._store, path)
        except FileNotFoundError:
            return


def path_of(account_id: str, media_id: str) -> str:
    """Return where an account's media lies in the store."""
    return f"{account_id}/{media_id}"


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while part := file.read(_CHUNK_BYTES):
        yield part
