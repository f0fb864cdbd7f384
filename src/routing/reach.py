"""Tells who would take an enquiry that came now, for those who only want to know."""

from typing import Final

from sqlalchemy import text

from gateway.db.channels import Channel
from gateway.db.endpoints import get_endpoint
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.diagnosis import minute_of
from gateway.domain.traffic_checks import Takers
from routing.engine import Facts, GiveTo, OfferTo, Wait, decide
from routing.explanation import explain
from routing.parties import find_bots
from routing.rules import Routing, routing_of
from routing.trials.picture import read_balances, read_destinations

_AT_WORK: Final = text(
    """
    SELECT count(*) FROM agents
    WHERE account_id = :account_id AND deleted_at IS NULL
      AND presence IN ('active', 'idle')
      AND (presence_expires_at IS NULL OR presence_expires_at > :now)
      AND (cardinality(channel_ids) = 0 OR :channel_id = ANY(channel_ids))
    """
)


class Reach:
    """Knows whom enquiries would reach."""

    async def takers(self, work: UnitOfWork, channel: Channel) -> Takers:
        """Return who would take an enquiry of a channel that came now; nothing is locked."""
        match channel.link.get("mode", "chat"):
            case "bot":
                return await _bot(work, channel)
            case "external_endpoint":
                return await _endpoint(work, channel)
            case _:
                routing = routing_of(channel.routing)
                if routing is None:
                    return await _whoever_accepts(work, channel)
                return await _by_rule(work, channel, routing)


async def _bot(work: UnitOfWork, channel: Channel) -> Takers:
    bot_id = channel.link["bot_id"]
    found = await find_bots(work.connection, [(channel.account_id, bot_id)])
    if bot_id not in found:
        return Takers(ready=False, waiting=False, words="The channel's bot has been deleted.")
    words = f"The bot {found[bot_id].name} takes everything of the channel."
    return Takers(ready=True, waiting=True, words=words)


async def _endpoint(work: UnitOfWork, channel: Channel) -> Takers:
    endpoint = await get_endpoint(work.connection, channel.account_id, channel.link["endpoint_id"])
    if endpoint is None:
        return Takers(ready=False, waiting=False, words="The channel's endpoint has been deleted.")
    if endpoint.status != "active":
        words = f"The endpoint {endpoint.name}, which takes everything, is {endpoint.status}."
        return Takers(ready=False, waiting=endpoint.status == "paused", words=words)
    if endpoint.failing_since is not None:
        since = minute_of(endpoint.failing_since)
        words = f"The endpoint {endpoint.name}, which takes everything, has failed since {since}."
        return Takers(ready=False, waiting=True, words=words)
    words = f"The endpoint {endpoint.name} takes everything of the channel."
    return Takers(ready=True, waiting=True, words=words)


async def _whoever_accepts(work: UnitOfWork, channel: Channel) -> Takers:
    wanted = {"account_id": channel.account_id, "channel_id": channel.id, "now": work.now}
    many = (await work.connection.execute(_AT_WORK, wanted)).scalar_one()
    there = {0: "no agent is there", 1: "one agent is there"}.get(many, f"{many} agents are there")
    words = f"The channel has no routing: enquiries stay open until accepted, and {there}."
    return Takers(ready=many > 0, waiting=True, words=words)


async def _by_rule(work: UnitOfWork, channel: Channel, routing: Routing) -> Takers:
    facts = Facts(
        at=work.now,
        destinations=await read_destinations(
            work.connection, channel, list(routing.destination_ids), at=work.now, presence={}
        ),
        balances=await read_balances(work.connection, channel),
    )
    decision = decide(facts, routing)
    # The first sentence says when and by which rule.
    _, *sentences = explain(decision.as_json(routing_version=channel.routing_version), {})
    return Takers(
        ready=isinstance(decision.outcome, OfferTo | GiveTo),
        waiting=isinstance(decision.outcome, Wait),
        words=" ".join(sentences),
    )
