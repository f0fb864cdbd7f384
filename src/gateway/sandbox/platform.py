"""What a Graph call works on."""

from dataclasses import dataclass

from gateway.sandbox.codes import Codes
from gateway.sandbox.exchange import Exchange
from gateway.sandbox.timeline import Timeline
from gateway.sandbox.world import World


@dataclass(frozen=True, slots=True)
class Platform:
    """The sandbox's world, its time, the way between people and Pages, and open logins."""

    world: World
    timeline: Timeline
    exchange: Exchange
    codes: Codes
