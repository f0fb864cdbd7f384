"""Scripted faults: which call is struck next, and how."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

CallKind = Literal[
    "oauth",
    "accounts",
    "debug_token",
    "subscribed_apps",
    "page",
    "profile",
    "conversations",
    "messages",
    "attachments",
    "thread_control",
    "personas",
    "third_party",
    "webhooks",
]
Mode = Literal[
    "error",
    "hang",
    "drip",
    "drop_after_effect",
    "garbage",
    "truncated",
    "html",
    "empty",
    "reset",
    "endless",
    "endless_headers",
    "interim_flood",
    "gzip_bomb",
    "redirect",
    "drop",
    "duplicate",
    "delay",
    "forge",
]
_WEBHOOK_MODES: Final = frozenset({"drop", "duplicate", "delay", "forge"})
# In these the call is performed, and only its answer suffers.
EFFECTIVE: Final = frozenset({"drip", "drop_after_effect"})


class Fault(BaseModel):
    """A fault for the next `count` calls of a kind, of one Page or of all.

    - `error`: Graph's error body with `code`, `subcode` and `status` (the status that usually
      comes with the code), or the error with a success status when told so;
    - `hang`: no answer, for `delay_ms` or for as long as the client waits; no effect;
    - `drip`: the effect happens, its answer comes a byte every `delay_ms` (1000);
    - `drop_after_effect`: the effect happens, the connection is closed without an answer;
    - lies, without an effect unless `effect` is true: `garbage` (not HTTP), `truncated` (half of a
      JSON body, then closed), `html` (a page, 503), `empty` (no body, 200), `reset`, `endless`
      (a body without end), `endless_headers`, `interim_flood` (1xx without end), `gzip_bomb`,
      `redirect` (307 to a metadata address);
    - `drop`, `duplicate`, `delay` (`delay_ms`, 10 s), `forge` (a wrong signature): for webhooks.

    The first `skip` calls that match are left alone, so that a fault can name a call by its number.
    `headers` are added to an `error`, such as `Retry-After`.
    """

    model_config = ConfigDict(extra="forbid")

    call: CallKind
    page_id: str | None = None
    count: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    skip: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    mode: Mode
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    code: int | None = None
    subcode: int | None = None
    delay_ms: Annotated[int, Field(ge=0, le=86_400_000)] | None = None
    effect: bool = False
    headers: dict[
        Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$")],
        Annotated[str, Field(pattern=r"^[\x20-\x7e]{0,1000}$")],
    ] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _mode_fits_call(self) -> "Fault":
        if (self.mode in _WEBHOOK_MODES) != (self.call == "webhooks"):
            raise ValueError("drop, duplicate, delay and forge are for webhooks, and only they")
        return self

    @property
    def has_effect(self) -> bool:
        """Whether the struck call is performed nevertheless."""
        return self.effect or self.mode in EFFECTIVE

    @property
    def notes(self) -> Mapping[str, Any]:
        """What the journal says of a struck call."""
        return {"fault": self.mode}


class Faults:
    """The faults still to come, in the order they were asked for."""

    def __init__(self) -> None:
        self._coming: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Line up a fault."""
        self._coming.append(fault.model_copy())

    def clear(self) -> None:
        """Forget all faults that have not struck."""
        self._coming.clear()

    def strike(self, call: str, page_id: str | None) -> Fault | None:
        """Return the fault for this call, and use it up; None where the call goes well."""
        for fault in self._coming:
            if fault.call != call or fault.page_id not in (None, page_id):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                return None
            fault.count -= 1
            if fault.count == 0:
                self._coming.remove(fault)
            return fault
        return None

    def coming(self) -> list[Fault]:
        """Return what is left, as asked for but with the counts of today."""
        return list(self._coming)
