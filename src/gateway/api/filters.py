"""Parameters that several lists have in common."""

from typing import Annotated

from fastapi import Query

Search = Annotated[
    str | None,
    Query(min_length=1, max_length=100, description="A part of what it is called."),
]
ChannelFilter = Annotated[
    str | None, Query(alias="channel_id", max_length=100, description="Only of this channel.")
]
ContactFilter = Annotated[
    str | None, Query(alias="contact_id", max_length=100, description="Only of this contact.")
]
