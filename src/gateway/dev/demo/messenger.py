"""A Page's contacts: welcomed, offered, answered, sent back to who served them, and missed."""

from typing import Any, Final

from gateway.dev.demo.login import connect_page
from gateway.dev.demo.stage import Stage, about, of

PAGE_ID: Final = "104000000000001"
VISITOR: Final = "7400000000000001"
_LATE_VISITOR: Final = "7400000000000002"
_TEAM_SECONDS: Final = 3


class MessengerPlay:
    """Ada, a team beside her, and two visitors of a Facebook Page."""

    def __init__(self, stage: Stage, app_id: str) -> None:
        """Take the stage and the Meta app of the channel."""
        self._stage = stage
        self._tell = stage.tell
        self._app_id = app_id

    async def run(self) -> None:
        """Play it."""
        ada = await self._stage.agent("Ada", "Byron")
        team = [await self._stage.agent("Ben", "Okri"), await self._stage.agent("Cleo", "Moss")]
        channel = await self._connect(ada, await self._team(team))
        await self._stage.skip_to_now()
        await self._first_enquiry(channel, ada)
        await self._return(channel, ada)
        await self._nobody_there(channel, [ada, *team])

    async def _team(self, agent_ids: list[str]) -> str:
        team = await self._stage.post("/v1/teams", {"name": "Bicycles", "agent_ids": agent_ids})
        self._tell("back end", "made a team of Ben and Cleo", team["id"])
        return str(team["id"])

    async def _connect(self, agent: str, team: str) -> dict[str, Any]:
        channel = await connect_page(
            self._stage,
            self._app_id,
            PAGE_ID,
            "Demo Page",
            {
                "messages": {"display_name_format": "first_name"},
                "closed_enquiry_policy": "always",
                "routing": {
                    "rule": "alternative",
                    "destinations": [
                        {"id": team, "timeout_seconds": _TEAM_SECONDS},
                        {"id": agent, "timeout_seconds": 60},
                    ],
                    "sticky": {"enabled": True, "valid_hours": 24},
                },
            },
        )
        self._tell("back end", "connected the Page: the team first, then Ada", channel["id"])
        return channel

    async def _first_enquiry(self, channel: dict[str, Any], agent: str) -> None:
        self._tell.scene("A contact's first message")
        await self._stage.say(PAGE_ID, VISITOR, "Hello! Is the blue bicycle still for sale?")
        received = await self._stage.event("gateway.message.received.v1", of(channel))
        self._tell("gateway", "received it, once and in order", received["id"])
        await self._stage.event("gateway.enquiry.offered.v1", of(channel))
        self._tell("gateway", "offered the enquiry to the whole team", received["enquiry_id"] or "")
        await self._visitor_reads(VISITOR, "welcomed")
        withdrawn = await self._stage.event("gateway.enquiry.offer_withdrawn.v1", of(channel))
        reason = withdrawn["data"]["reason"]
        self._tell("gateway", f"nobody answered within {_TEAM_SECONDS} s: the offer {reason}")
        offered = await self._stage.event("gateway.enquiry.offered.v1", of(channel))
        self._tell("gateway", "offered it to the next destination: Ada", offered["enquiry_id"])
        await self._accept(offered, agent)
        conversation = offered["conversation_id"]
        for action in ("mark_seen", "typing_on"):
            await self._stage.post(f"/v1/conversations/{conversation}/actions", {"action": action})
        await self._reply(conversation, agent, "Yes, it is. Would you like to see it today?")
        await self._stage.post(f"/v1/enquiries/{offered['enquiry_id']}/close", {"agent_id": agent})
        self._tell("agent", "closes the enquiry")

    async def _return(self, channel: dict[str, Any], agent: str) -> None:
        self._tell.scene("The contact comes back")
        await self._stage.say(PAGE_ID, VISITOR, "One more thing: does it have lights?")
        offered = await self._stage.event("gateway.enquiry.offered.v1", of(channel))
        assert offered["data"]["enquiry"]["destination"]["id"] == agent
        self._tell("gateway", "offered it to Ada, who served last", offered["enquiry_id"])
        await self._accept(offered, agent)
        await self._reply(offered["conversation_id"], agent, "It does, front and back.")

    async def _nobody_there(self, channel: dict[str, Any], agents: list[str]) -> None:
        self._tell.scene("Everybody has gone home")
        for agent_id in agents:
            await self._stage.presence(agent_id, "offline")
        await self._stage.say(PAGE_ID, _LATE_VISITOR, "Are you open?")
        missed = await self._stage.event("gateway.enquiry.missed.v1", of(channel))
        self._tell("gateway", "nobody is there: the enquiry is missed", missed["enquiry_id"])
        await self._visitor_reads(_LATE_VISITOR, "welcomed")
        await self._visitor_reads(_LATE_VISITOR, "told so")
        for agent_id in agents:
            await self._stage.presence(agent_id, "active")
        self._tell("agent", "all are back")

    async def _accept(self, offered: dict[str, Any], agent: str) -> None:
        await self._stage.post(f"/v1/enquiries/{offered['enquiry_id']}/accept", {"agent_id": agent})
        self._tell("agent", "Ada accepts it")

    async def _reply(self, conversation: str, agent: str, text: str) -> None:
        message = await self._stage.post(
            f"/v1/conversations/{conversation}/messages",
            {
                "content": {"type": "text", "text": text},
                "author": {"kind": "agent", "id": agent},
            },
        )
        self._tell("agent", f"“{text}”", message["id"])
        await self._stage.event("gateway.message.sent.v1", about(message))
        self._tell("gateway", "✓ sent, once", message["id"])
        await self._visitor_reads(VISITOR, "answered")
        await self._stage.event("gateway.message.delivered.v1", about(message))
        self._tell("gateway", "✓✓ delivered", message["id"])

    async def _visitor_reads(self, visitor: str, why: str) -> None:
        text = await self._stage.read_next(visitor)
        self._tell("visitor", f"is {why}, and reads “{text}”")
