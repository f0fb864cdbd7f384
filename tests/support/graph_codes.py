"""What the platform's documentation says of each error code, written down by hand.

It is not taken from the gateway's own table, which is checked against it. The letters are the
documentation's: R retry with backoff, T throttle, N never the same request again, A the connection
is broken. W is an N of the messaging window, H an N after which the gateway holds the channel's
messages until the Page may send again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# code, subcode, letter, and after the letter: how many attempts in all, whether a limit is the
# whole app's, or what becomes of the channel.
_TABLE: Final = """
1       -       R
1       99      R 3
1       1357046 N
2       -       R
2       2018344 N
4       -       T app
4       2018022 T app
4       2018354 N
9       2018352 N
10      -       A disconnected permission_missing
10      2018278 W
10      2018065 W
10      2018108 N
10      2534022 W
10      2018336 N
10      1404170 N
10      1893015 N
10      1893063 H degraded page_restricted
10      2534077 A disconnected permission_missing
17      -       T
17      2446079 T
32      -       T
80001   -       T
80002   -       T
80006   -       T
100     -       N
100     33      N
100     2018001 N
100     2018008 R 3
100     2018014 N
100     2018015 N
100     2018034 N
100     2018040 N
100     2018041 N
100     2018053 N
100     2018047 N
100     2018048 N
100     2018074 N
100     2018109 N
100     2018164 N
100     2018294 R 2
100     2534013 N
100     2534014 N
100     2534015 N
100     2534025 N
100     2534029 N
100     2534037 N
102     -       A disconnected token_expired
190     -       A disconnected token_expired
190     458     A disconnected app_removed
190     459     A disconnected token_expired
190     464     A disconnected token_expired
190     460     A disconnected password_changed
190     463     A disconnected token_expired
190     467     A disconnected token_expired
190     492     A disconnected role_lost
200     -       A disconnected permission_missing
210     -       A disconnected permission_missing
299     -       A disconnected permission_missing
200     1545041 N
200     2018021 N
200     2018027 N
200     2018028 N
200     2534041 A degraded messages_not_allowed
230     -       A disconnected permission_missing
341     -       T app
368     -       H degraded page_restricted
551     -       N
551     1545041 N
613     -       T
613     2018338 N
613     2534040 T
613     1893016 N
1200    -       R
1200    2018024 R
2022    -       N
10303   -       N
10900   -       N
803     -       N
2500    -       N
2635    -       N
9000001 -       N
2018218 -       N
2018247 -       N
2018300 -       N
2018321 -       N
"""


@dataclass(frozen=True, slots=True)
class Documented:
    """One row: what a code means for the message that met it, and for its channel."""

    code: int
    subcode: int | None
    letter: str
    attempts: int | None = None
    app_wide: bool = False
    channel: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        return f"meta-{self.code}" + ("" if self.subcode is None else f"-{self.subcode}")

    @property
    def held(self) -> bool:
        """Messages wait while a channel is disconnected or its Page is restricted."""
        return self.channel is not None and (
            self.channel[0] == "disconnected" or self.channel[1] == "page_restricted"
        )


def _rows() -> Iterator[Documented]:
    for line in _TABLE.strip().splitlines():
        code, subcode, letter, *more = line.split()
        yield Documented(
            int(code),
            None if subcode == "-" else int(subcode),
            letter,
            attempts=int(more[0]) if letter == "R" and more else None,
            app_wide=more == ["app"],
            channel=(more[0], more[1]) if letter in "AH" else None,
        )


DOCUMENTED: Final = tuple(_rows())
# These two are of the range that 200 stands for.
OF_A_RANGE: Final = frozenset({(210, None), (299, None)})
