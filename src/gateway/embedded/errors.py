"""What goes wrong with embedded servers."""


class EmbeddedError(Exception):
    """A server cannot be had here; the message says why and what a person can do about it."""
