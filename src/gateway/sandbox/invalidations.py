"""Why a token dies before its time, and the subcode of 190 that calls with it get then."""

from typing import Final, Literal

Invalidation = Literal["expired", "password_changed", "app_removed", "checkpointed", "role_lost"]

REFUSALS: Final[dict[Invalidation, int]] = {
    "expired": 463,
    "password_changed": 460,
    "app_removed": 458,
    "checkpointed": 459,
    "role_lost": 492,
}
