"""What a channel's routing looks like to those who write it and read it.

These models describe. Whether a routing holds, and which field does not, `routing.configuration`
decides alone, so bodies take what they are sent as it is: `RoutingAsSent`.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from gateway.contracts.resources import Resource
from gateway.contracts.strict import Whole

DEFAULT_TIMEOUT_SECONDS = 60
DEFAULT_WAITING_LIMIT_SECONDS = 300
DEFAULT_VALID_HOURS = 24
MOST_VALID_HOURS = 24 * 366
MOST_DESTINATIONS = 5
LEAST_SHARES = 2
MOST_SHARES = 100
MOST_SPANS = 100
MOST_EXCEPTIONS = 366
MOST_SECONDS = 86_400

_HOUR = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_Seconds = Annotated[Whole, Field(ge=1, le=MOST_SECONDS)]


class _BothWays(Resource):
    """Something that is read as it is written; what is read may have more fields."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        described = handler(schema)
        if handler.mode == "validation":
            handler.resolve_ref_schema(described)["additionalProperties"] = False
        return described


class RoutingDestination(_BothWays):
    """Who is asked: an agent, a team, a bot or an endpoint."""

    id: str = Field(pattern="^[A-Za-z0-9_-]{1,100}$", examples=["agt_01kb2x5h8ve0xrn1y2z3a4b5c6"])
    timeout_seconds: _Seconds = Field(
        default=DEFAULT_TIMEOUT_SECONDS, description="How long an offer to it stands."
    )


class RoutingShare(RoutingDestination):
    """A destination and its share of the enquiries."""

    share: Annotated[Whole, Field(ge=1, le=100)] = Field(
        description="In per cent; the shares of a list sum to 100."
    )


_List = Annotated[list[RoutingDestination], Field(min_length=1, max_length=MOST_DESTINATIONS)]


class RoutingHours(_BothWays):
    """Hours of a day, and who is asked meanwhile."""

    begins: str = Field(
        alias="from", pattern=f"^{_HOUR}$", description="Included.", examples=["09:00"]
    )
    ends: str = Field(
        alias="to",
        pattern=f"^(?:{_HOUR}|24:00)$",
        description="Excluded; before `from`, it is an hour of the next day.",
        examples=["18:00"],
    )
    destinations: _List


class RoutingSpan(RoutingHours):
    """Hours of week days; they belong to the day on which they start."""

    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = Field(
        min_length=1, max_length=7, json_schema_extra={"uniqueItems": True}
    )


class RoutingDayClosed(_BothWays):
    """A date on which the list for other times holds all day."""

    date: str = Field(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$", examples=["2026-12-24"])
    closed: Literal[True]


class RoutingDayHours(_BothWays):
    """A date with hours of its own instead of the week's."""

    date: str = Field(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$", examples=["2026-12-31"])
    spans: list[RoutingHours] = Field(min_length=1, max_length=MOST_SPANS)


class RoutingTimetable(_BothWays):
    """Who is asked when; two or more destinations over all lists."""

    zone: str = Field(description="An IANA time zone.", examples=["Europe/London"])
    spans: list[RoutingSpan] = Field(max_length=MOST_SPANS, description="None overlaps another.")
    exceptions: list[RoutingDayClosed | RoutingDayHours] = Field(
        default=[], max_length=MOST_EXCEPTIONS, description="Dates with a plan of their own."
    )
    holidays: str | None = Field(
        default=None,
        pattern="^[A-Z]{2,3}(?:-[A-Z0-9]{1,6})?$",
        description="On the public holidays of this place, the list for other times holds.",
        examples=["GB-SCT"],
    )
    other: list[RoutingDestination] = Field(
        default=[], max_length=MOST_DESTINATIONS, description="Who is asked at all other times."
    )


class RoutingSticky(_BothWays):
    """Whether who served a contact last is asked first."""

    enabled: bool = False
    valid_hours: Annotated[Whole, Field(ge=1, le=MOST_VALID_HOURS)] | None = Field(
        default=DEFAULT_VALID_HOURS, description="For how long after the end of the enquiry."
    )


class _Routing(_BothWays):
    sticky: RoutingSticky | None = RoutingSticky()
    waiting_limit_seconds: _Seconds = Field(
        default=DEFAULT_WAITING_LIMIT_SECONDS,
        description="After so many seconds an enquiry that nobody took is missed.",
    )


class AlternativeRouting(_Routing):
    """One destination after another is asked, in this order."""

    rule: Literal["alternative"]
    destinations: _List


class PercentageRouting(_Routing):
    """Destinations take turns by their shares."""

    rule: Literal["percentage"]
    destinations: list[RoutingShare] = Field(min_length=LEAST_SHARES, max_length=MOST_SHARES)


class TimeRouting(_Routing):
    """The hour says which list is asked, one destination after another."""

    rule: Literal["time"]
    time: RoutingTimetable


Routing = Annotated[
    AlternativeRouting | PercentageRouting | TimeRouting, Field(discriminator="rule")
]


class _Versioned(_BothWays):
    version: Whole = Field(
        description="Of the routing alone. Sent back, it guards like `If-Match`."
    )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        described = super().__get_pydantic_json_schema__(schema, handler)
        if handler.mode == "validation":
            members = handler.resolve_ref_schema(described)
            members["required"] = [name for name in members["required"] if name != "version"]
        return described


class ChannelAlternativeRouting(AlternativeRouting, _Versioned):
    """One destination after another is asked, in this order."""


class ChannelPercentageRouting(PercentageRouting, _Versioned):
    """Destinations take turns by their shares."""


class ChannelTimeRouting(TimeRouting, _Versioned):
    """The hour says which list is asked, one destination after another."""


class ChannelNoRouting(_Versioned):
    """No routing: enquiries stay open until somebody accepts or transfers them."""

    rule: None
    destinations: Annotated[list[RoutingDestination], Field(max_length=0)] = Field(default=[])
    waiting_limit_seconds: None = None


ChannelRouting = (
    Annotated[
        ChannelAlternativeRouting | ChannelPercentageRouting | ChannelTimeRouting,
        Field(discriminator="rule"),
    ]
    | ChannelNoRouting
)


class AsSent:
    """Says that a field is described by a type, and takes whatever JSON it is sent."""

    def __init__(self, described: Any) -> None:  # noqa: ANN401 - what a type adapter takes
        self._described: TypeAdapter[Any] = TypeAdapter(described)

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Take anything."""
        del source, handler
        return core_schema.any_schema()

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Describe the type."""
        del schema
        return handler(self._described.core_schema)


RoutingAsSent = Annotated[dict[str, Any], AsSent(Routing)]
ChannelRoutingAsSent = Annotated[dict[str, Any], AsSent(ChannelRouting)]
