"""Where media lies: a folder, or an object store named by its URL (S3, GCS, Azure)."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Self

import obstore
from obstore.store import LocalStore, ObjectStore, from_url

_CHUNK_BYTES: Final = 256 * 1024


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
        """Store a file and return the path by which it can be read again."""
        path = f"{account_id}/{media_id}"
        file.seek(0)
        await obstore.put_async(self._store, path, _chunks(file))
        return path

    async def read(self, path: str) -> AsyncIterator[bytes]:
        """Yield what was stored, in parts.

        Raises:
            FileNotFoundError: There is nothing at that path any more.
        """
        found = await obstore.get_async(self._store, path)
        async for part in found.stream(min_chunk_size=_CHUNK_BYTES):
            yield bytes(part)

    async def delete(self, path: str) -> None:
        """Delete what was stored; what is not there is deleted already."""
        try:
            await obstore.delete_async(self._store, path)
        except FileNotFoundError:
            return


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while part := file.read(_CHUNK_BYTES):
        yield part
