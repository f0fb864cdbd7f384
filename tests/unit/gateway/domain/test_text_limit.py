import pytest

from gateway.domain.channel import ChannelKind, platform_text_limit
from gateway.domain.text_limit import TextLimit, check_text, text_limit_of
from gateway.errors import TextTooLongError


def limit_on(kind: ChannelKind) -> TextLimit:
    return text_limit_of(kind, platform_text_limit(kind))


@pytest.mark.parametrize(
    ("kind", "text", "fits"),
    [
        (ChannelKind.MESSENGER, "x" * 2000, True),
        (ChannelKind.MESSENGER, "x" * 2001, False),
        (ChannelKind.MESSENGER, "ä" * 2000, True),
        # A family is one to the eye and five code points to Meta.
        (ChannelKind.MESSENGER, "👨‍👩‍👦" * 400, True),
        (ChannelKind.MESSENGER, "👨‍👩‍👦" * 401, False),
        (ChannelKind.INSTAGRAM, "x" * 1000, True),
        (ChannelKind.INSTAGRAM, "x" * 1001, False),
        (ChannelKind.INSTAGRAM, "ä" * 500, True),
        (ChannelKind.INSTAGRAM, "ä" * 501, False),
        (ChannelKind.THIRD_PARTY, "ä" * 2000, True),
        (ChannelKind.THIRD_PARTY, "ä" * 2001, False),
    ],
)
def test_the_limit_is_the_last_length_that_passes(
    kind: ChannelKind, text: str, *, fits: bool
) -> None:
    limit = limit_on(kind)
    assert limit.holds(text) is fits
    if fits:
        check_text(text, limit=limit, pointer="/content/text")
        return
    with pytest.raises(TextTooLongError) as caught:
        check_text(text, limit=limit, pointer="/content/text")
    (fault,) = caught.value.faults
    assert fault.pointer == "/content/text"


def test_a_refusal_says_what_was_counted() -> None:
    with pytest.raises(TextTooLongError) as caught:
        check_text("ä" * 600, limit=TextLimit(1000, 1000), before="Äda: ", pointer="/text")
    assert caught.value.detail == (
        "The text has 1200 bytes in UTF-8; this channel takes 1000, 6 of them for the name before "
        "it."
    )


def test_a_channels_own_limit_may_be_less() -> None:
    assert text_limit_of(ChannelKind.MESSENGER, 1600).holds("x" * 1600)
    assert not text_limit_of(ChannelKind.MESSENGER, 1600).holds("x" * 1601)


def test_what_goes_beside_a_text_is_taken_off() -> None:
    assert TextLimit(10, 20).beside("äb") == TextLimit(8, 17)
