"""What a rule-based bot answers, and when."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from gateway.contracts.content import Content, stored
from gateway.contracts.strict import IS_SAID, IS_TEXT, Body

MOST_RULES = 100
_MOST_VALUES = 100
_MOST_MESSAGES = 10


Value = Annotated[str, StringConstraints(min_length=1, max_length=1000), IS_SAID, IS_TEXT]


class BotTrigger(Body):
    """What makes a rule answer."""

    kind: Literal["keyword", "payload", "first_message", "fallback"] = Field(
        description=(
            "`keyword`: one of the words or phrases stands in the text; case, accents and width "
            "do not count. `payload`: a button or quick reply with exactly one of these was "
            "pressed. `first_message`: the enquiry's first. `fallback`: whatever it is."
        )
    )
    values: Annotated[list[Value], Field(min_length=1, max_length=_MOST_VALUES)] | None = None

    @model_validator(mode="after")
    def _has_values_where_it_compares(self) -> "BotTrigger":
        compares = self.kind in ("keyword", "payload")
        if compares and self.values is None:
            raise ValueError("Give `values` to compare with")
        if not compares and self.values is not None:
            raise ValueError("Only `keyword` and `payload` have `values`")
        return self


class BotRuleSettings(Body):
    """One rule of a bot; the first that matches answers."""

    when: BotTrigger
    messages: Annotated[list[Content], Field(max_length=_MOST_MESSAGES)] = Field(
        default=[], description="What it sends, in order."
    )
    then: Literal["hand_over", "close"] | None = Field(
        default=None,
        description="What it does afterwards: hand over to the channel's rule, or close.",
    )


def stored_rules(rules: list[BotRuleSettings]) -> list[dict[str, Any]]:
    """Return rules as the database keeps them."""
    return [
        {
            "when": rule.when.model_dump(mode="json", exclude_none=True),
            "messages": [stored(content) for content in rule.messages],
            "then": rule.then,
        }
        for rule in rules
    ]
