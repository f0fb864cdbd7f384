"""Addresses under which platforms fetch uploaded media without a key.

Such an address holds the SHA-256 of the content beside its id: whoever knows both has had the
content, or has been given the address.
"""

from gateway.db.media import Media


def media_link(public_url: str, media: Media) -> str:
    """Return the address of uploaded media."""
    return f"{public_url.rstrip('/')}/media/{media.id}/{media.sha256}"
