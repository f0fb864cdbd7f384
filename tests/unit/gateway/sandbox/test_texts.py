"""The sandbox counts texts as Meta does."""

import pytest

from gateway.sandbox.content import read_content
from gateway.sandbox.errors import GraphError


@pytest.mark.parametrize(
    ("text", "messenger", "instagram"),
    [
        ("x" * 1000, True, True),
        ("x" * 1001, True, False),
        ("ä" * 500, True, True),
        ("ä" * 501, True, False),
        ("ä" * 2000, True, False),
        ("ä" * 2001, False, False),
    ],
)
def test_instagram_counts_bytes(text: str, *, messenger: bool, instagram: bool) -> None:
    for takes, of_instagram in ((messenger, False), (instagram, True)):
        if takes:
            assert read_content({"text": text}, instagram=of_instagram).text == text
        else:
            with pytest.raises(GraphError):
                read_content({"text": text}, instagram=of_instagram)
