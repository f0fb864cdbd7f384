"""The Kafka topics: their names, and what they are kept for."""

from typing import Final

# Items from outside, in the order in which the ingress acknowledged them; deleted by age.
INBOUND: Final = "gateway.inbound.v1"
# The public events, for the operator's own services; the database keeps them longer.
CONVERSATIONS: Final = "gateway.conversations.v1"
# Copies of what was set aside; the database's rows are the truth.
DEAD_LETTERS: Final = "gateway.dead-letters.v1"

ALL: Final = (INBOUND, CONVERSATIONS, DEAD_LETTERS)
