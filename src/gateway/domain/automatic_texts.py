"""What a channel says by itself unless it is given words of its own."""

from typing import Final

DEFAULT_WELCOME: Final = (
    "Hello, and thank you for writing to us. One moment, please: somebody will be with you shortly."
)
DEFAULT_AWAY: Final = (
    "Thank you for your message. Nobody is available at the moment; we will get back to you as "
    "soon as we can."
)
