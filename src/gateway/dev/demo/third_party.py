"""A company's own web chat, connected as a third-party channel."""

from typing import Any

from gateway.dev.demo.stage import Stage, about, bearer, call, of


class ThirdPartyPlay:
    """Robin on the web chat, and Dot at the desk."""

    def __init__(self, stage: Stage, sandbox_url: str) -> None:
        """Take the stage, and where the sandbox plays the third party."""
        self._stage = stage
        self._tell = stage.tell
        self._sandbox_url = sandbox_url

    async def run(self) -> None:
        """Play it."""
        self._tell.scene("A channel of the company's own")
        dot = await self._stage.agent("Dot", "Hale")
        channel, token = await self._connect(dot)
        await self._stage.skip_to_now()
        text = "Do you deliver to Leith?"
        await call(
            self._stage.api,
            "POST",
            f"/incoming/{channel['id']}/messages",
            {
                "id": "web-1",
                "contact": {"id": "web-visitor-1", "name": "Robin"},
                "type": "text",
                "text": text,
            },
            headers=bearer(token),
        )
        self._tell("third party", f"“{text}”", "through the incoming API")
        offered = await self._stage.event("gateway.enquiry.offered.v1", of(channel))
        self._tell("gateway", "offered the enquiry to Dot", offered["enquiry_id"])
        answer = await self._stage.post(
            f"/v1/conversations/{offered['conversation_id']}/messages",
            {
                "content": {"type": "text", "text": "We do, on Tuesdays and Fridays."},
                "author": {"kind": "agent", "id": dot},
            },
        )
        self._tell("agent", "“We do, on Tuesdays and Fridays.”", answer["id"])
        await self._stage.event("gateway.message.sent.v1", about(answer))
        self._tell("gateway", "✓ sent, once", answer["id"])
        await call(
            self._stage.api,
            "POST",
            f"/incoming/{channel['id']}/statuses",
            {"message_id": answer["id"], "status": "delivered"},
            headers=bearer(token),
        )
        self._tell("third party", "tells that it was delivered")
        await self._stage.event("gateway.message.delivered.v1", about(answer))
        self._tell("gateway", "✓✓ delivered", answer["id"])

    async def _connect(self, agent: str) -> tuple[dict[str, Any], str]:
        channel = await self._stage.post(
            "/v1/channels",
            {
                "kind": "third_party",
                "name": "Web chat",
                "source": {
                    "source_name": "Web chat",
                    "outgoing_webhook_url": f"{self._sandbox_url}/third-party/demo/webhook",
                },
                "messages": {"welcome": {"enabled": False}},
                "routing": {"rule": "alternative", "destinations": [{"id": agent}]},
            },
        )
        self._tell("back end", "connected a third-party channel", channel["id"])
        return channel, str(channel["source"]["incoming_token"])
