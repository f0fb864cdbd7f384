"""The checks of a diagnosis that are about a third party: its address, its answer, its token."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from gateway.domain.channel import StatusReason
from gateway.domain.channel_reasons import REASONS
from gateway.domain.diagnosis import Check, Unseen, failed, minute_of, ok, unknown, warning


@dataclass(frozen=True, slots=True, kw_only=True)
class ThirdPartyFacts:
    """What was seen of a third party.

    Attributes:
        address_fault: Why nothing can be posted to its address, if so.
        challenge_fault: How it failed its challenge, if it did.
        signable: Whether the gateway can read the secret that it signs with.
        milliseconds: How long its right answer took; None where there was none.
        was: What the channel suffered from before the diagnosis.
        former_token_until: Until when the incoming token before the present one works.
    """

    now: datetime
    address_fault: str | None
    challenge_fault: str | None
    signable: bool
    milliseconds: int | None
    was: StatusReason | None
    former_token_until: datetime | None


def third_party_checks(facts: ThirdPartyFacts) -> Iterator[Check]:
    """Yield whether the third party can be reached, answers as it must, and may post to us."""
    yield _address(facts)
    yield _challenge(facts)
    yield _token(facts)


def _address(facts: ThirdPartyFacts) -> Check:
    check = "webhook_target"
    if facts.address_fault is not None:
        remedy = "Give the channel an address that the gateway can reach and may call."
        return failed(check, facts.address_fault, remedy)
    return ok(check, "The outgoing webhook's address can be called.")


def _challenge(facts: ThirdPartyFacts) -> Check:
    check = "challenge"
    if facts.address_fault is not None:
        return unknown(check, Unseen("The address cannot be called.", "Mend the address first."))
    if not facts.signable:
        remedy = "Give the gateway the key of ENCRYPTION_KEYS under which it was stored."
        return unknown(check, Unseen("The channel's signing secret cannot be read.", remedy))
    if facts.challenge_fault is not None:
        return failed(check, facts.challenge_fault, REASONS[StatusReason.CHALLENGE_FAILED][1])
    seen = f"The challenge was answered within {facts.milliseconds} ms."
    if facts.was is StatusReason.CHALLENGE_FAILED:
        remedy = "Nothing for now: the channel works again. Look why it failed before."
        return warning(check, f"{seen} Those before had failed.", remedy)
    return ok(check, seen)


def _token(facts: ThirdPartyFacts) -> Check:
    check, until = "token", facts.former_token_until
    if until is not None and until > facts.now:
        seen = f"The incoming token was rotated; the former one works until {minute_of(until)}."
        return warning(check, seen, "See that the third party uses the new one before then.")
    return ok(check, "The third party has one incoming token.")
