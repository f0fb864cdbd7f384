"""The control calls that disturb: faults, echoes, the clock; and what lets one see the effect."""

import secrets
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Final

import httpx
from fastapi import APIRouter, HTTPException, Query, Response

from gateway.contracts.moments import rfc3339
from gateway.sandbox.answers import AsciiJson
from gateway.sandbox.bodies import ClockBody, EchoesBody, HandshakeBody
from gateway.sandbox.courier import Courier
from gateway.sandbox.faults import Fault, Faults
from gateway.sandbox.journal import Journal
from gateway.sandbox.timeline import Timeline
from gateway.sandbox.world import World

AdvanceClock = Callable[[float], Awaitable[None]]

JOURNAL_PAGE: Final = 5_000
_OK: Final = 200


class Drills:
    """Faults, echoes, clock, journal and handshake, under `/control`."""

    def __init__(
        self,
        *,
        world: World,
        timeline: Timeline,
        courier: Courier,
        faults: Faults,
        journal: Journal,
        advance_clock: AdvanceClock | None,
    ) -> None:
        self._world = world
        self._timeline = timeline
        self._courier = courier
        self._faults = faults
        self._journal = journal
        self._advance_clock = advance_clock

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(prefix="/control", tags=["drills"])
        for method, path, endpoint in (
            ("POST", "/handshake", self.shake_hands),
            ("POST", "/faults", self.add_fault),
            ("GET", "/faults", self.list_faults),
            ("POST", "/echoes", self.set_echoes),
            ("GET", "/journal", self.read_journal),
            ("POST", "/clock", self.move_clock),
        ):
            router.add_api_route(path, endpoint, methods=[method], response_model=None)
        router.add_api_route("/faults", self.clear_faults, methods=["DELETE"], status_code=204)
        return router

    async def shake_hands(self, body: HandshakeBody) -> Response:
        """Do Meta's GET challenge against an app's webhook address and tell what came back."""
        app = self._world.apps.get(body.app_id or self._world.default_app.app_id)
        if app is None:
            raise HTTPException(404, "There is no such app.")
        if not app.address:
            raise HTTPException(409, "The app has no webhook address.")
        challenge = str(secrets.randbelow(10**10))
        question = {
            "hub.mode": "subscribe",
            "hub.challenge": challenge,
            "hub.verify_token": app.verify_token
            if body.verify_token is None
            else body.verify_token,
        }
        try:
            url = str(httpx.URL(app.address).copy_merge_params(question))
        except httpx.InvalidURL as error:
            raise HTTPException(409, "The app's webhook address is not one.") from error
        status, answer = await self._courier.call(app, "GET", url)
        ok = status == _OK and answer == challenge
        return AsciiJson({"ok": ok, "status": status, "challenge": challenge, "answer": answer})

    async def add_fault(self, body: Fault) -> Response:
        """Line up a fault."""
        self._faults.add(body)
        return AsciiJson(body.model_dump())

    async def list_faults(self) -> Response:
        """List the faults that have not struck."""
        return AsciiJson({"data": [fault.model_dump() for fault in self._faults.coming()]})

    async def clear_faults(self) -> None:
        """Forget the faults that have not struck."""
        self._faults.clear()

    async def set_echoes(self, body: EchoesBody) -> Response:
        """Say how the echoes of a Page come."""
        page = self._world.page_of(body.page_id)
        if page is None:
            raise HTTPException(404, "There is no such Page.")
        page.echoes = body.mode
        page.echoes_held = 0
        return AsciiJson({"page_id": page.page_id, "mode": page.echoes})

    async def read_journal(
        self,
        after: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=JOURNAL_PAGE)] = JOURNAL_PAGE,
    ) -> Response:
        """Read what was received and sent, after an entry's number."""
        return AsciiJson({"data": self._journal.after(after, limit=limit)})

    async def move_clock(self, body: ClockBody) -> Response:
        """Move everybody's clock forward and answer when all have confirmed."""
        if self._advance_clock is not None:
            await self._advance_clock(body.advance_seconds)
        self._timeline.move(timedelta(seconds=body.advance_seconds))
        return AsciiJson(
            {
                "now": rfc3339(self._timeline.now()),
                "offset_seconds": self._timeline.offset.total_seconds(),
            }
        )
