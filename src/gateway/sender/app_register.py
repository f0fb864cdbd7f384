"""Keeps the limits of Meta apps in step with the database, where all senders and accounts meet.

At each renewal of the leases a sender says what it was told and what it would send, and takes its
part: from 80 % of an app's limit on, all together go at a pace that one of them decides, and each
account has a fair share of it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import structlog

from gateway.db.app_limits import (
    AppDemand,
    AppLimit,
    find_app_limits,
    lock_app_limits,
    note_demands,
    save_app_limit,
)
from gateway.db.failures import is_transient, name_of
from gateway.db.leases import RENEW_SECONDS
from gateway.db.paces import save_paces
from gateway.db.unit_of_work import Database, UnitOfWork
from gateway.domain.pacing import Sign, decide_pace
from gateway.domain.shares import fair_shares
from gateway.domain.usage import SPENT_PERCENT, TOLD_FOR
from gateway.points import Point
from gateway.sender.apps import News
from gateway.sender.board import Board
from gateway.sender.metrics import APP_PACE, APP_USAGE

# Who wants how much is known before there is too little of it.
_DEMANDS_FROM: Final = 60

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class AppShares:
    """How fast all may call through an app together, and our part of it by account."""

    limit: AppLimit
    shares: Mapping[str, float]


class AppRegister:
    """One sender's side of the limits that all senders share."""

    def __init__(self, database: Database, board: Board, *, at: Point) -> None:
        self._database = database
        self._board = board
        self._at = at
        self._renewed = asyncio.Event()

    def renewed(self) -> None:
        """Note that the leases were renewed."""
        self._renewed.set()

    async def run(self) -> None:
        """Keep in step until cancelled; a database that is away comes back."""
        while True:
            await self._renewed.wait()
            self._renewed.clear()
            try:
                async with asyncio.timeout(RENEW_SECONDS):
                    await self._keep_in_step()
            except Exception as error:
                if is_transient(error):
                    log.warning("app_limits.not_read", error=name_of(error))
                else:
                    log.exception("app_limits.not_read")
            await self._at("in_step")

    async def _keep_in_step(self) -> None:
        """Say what was learnt, and take what others learnt."""
        lanes, now = self._board.lanes, self._board.clock.now()
        news = {app.id: app.take_news() for app in lanes.apps}
        paces = lanes.learnt()
        try:
            async with self._database.unit_of_work() as work:
                await save_paces(work.connection, paces, now=now)
                shared = await self._share(work, news)
        except BaseException:
            for app_id, untold in news.items():
                lanes.apps.app(app_id).give_back(untold)
            raise
        lanes.noted(paces)
        for each in shared:
            self._take(each, now)
        self._board.go.set()

    async def _share(self, work: UnitOfWork, news: Mapping[str, News]) -> list[AppShares]:
        if not news:
            return []
        known = await find_app_limits(work.connection, news.keys())
        pressed = {
            app_id for app_id, each in news.items() if _concerns_all(each, known.get(app_id))
        }
        shared = [
            AppShares(limit=limit, shares={})
            for app_id, limit in known.items()
            if app_id not in pressed
        ]
        if not pressed:
            return shared
        limits = await lock_app_limits(work.connection, pressed)
        demands = self._board.lanes.demands(now=work.now)
        wanted = await note_demands(
            work.connection,
            demands,
            process_id=self._board.leases.process_id,
            app_ids=limits.keys(),
            now=work.now,
        )
        for app_id, limit in limits.items():
            calls = sum(each.made for each in wanted[app_id].values())
            decided = decide(limit, news[app_id], calls=calls, now=work.now)
            if decided != limit:
                await save_app_limit(work.connection, decided)
            ours = {each.account_id: each.wanted for each in demands if each.app_id == app_id}
            shares = our_shares(decided, wanted[app_id], ours)
            shared.append(AppShares(limit=decided, shares=shares))
        return shared

    def _take(self, shared: AppShares, now: datetime) -> None:
        limit, lanes = shared.limit, self._board.lanes
        rate = None if limit.pace is None else limit.pace.rate
        lanes.share(limit.app_id, rate, shared.shares, now=now)
        if limit.rests_until is not None and limit.rests_until > now:
            lanes.rest_app(limit.app_id, until=limit.rests_until)
        APP_USAGE.labels(limit.app_id).set(limit.usage_percent)
        if rate is not None:
            APP_PACE.labels(limit.app_id).set(rate)
        else:
            APP_PACE.remove(limit.app_id)


def decide(limit: AppLimit, news: News, *, calls: float, now: datetime) -> AppLimit:
    """Return what is known of an app's limit, and at which pace all go, after calls told of it.

    `calls` is how many calls a second all made together lately.
    """
    if news.called_at is None:
        if limit.told_at is not None and limit.told_at < now - TOLD_FOR:
            return replace(limit, usage_percent=0, told_at=None, pace=None)
        return limit
    percent = limit.usage_percent if news.usage is None else news.usage.percent
    if news.refused:
        percent = max(percent, SPENT_PERCENT)
    sign = Sign(
        percent=percent,
        refused=news.refused,
        calls=calls,
        called_at=news.called_at,
        resumes_at=max(now, limit.rests_until or now),
    )
    return replace(limit, usage_percent=percent, told_at=now, pace=decide_pace(limit.pace, sign))


def our_shares(
    limit: AppLimit, wanted: Mapping[str, AppDemand], ours: Mapping[str, float]
) -> dict[str, float]:
    """Return how many calls a second this process may make for each account.

    Each account has its fair share; where several processes call for one, each has as much of it as
    it wants of the whole.
    """
    if limit.pace is None:
        return {}
    shares = fair_shares(
        limit.pace.rate, {account_id: each.wanted for account_id, each in wanted.items()}
    )
    return {
        account_id: share * _part(ours.get(account_id, 0.0), wanted[account_id].wanted)
        for account_id, share in shares.items()
    }


def _part(ours: float, all_together: float) -> float:
    return min(ours / all_together, 1.0) if all_together > 0 else 1.0


def _concerns_all(news: News, known: AppLimit | None) -> bool:
    """Say whether others must learn of it, or have decided something that we go by."""
    if news.refused or (known is not None and known.pace is not None):
        return True
    if news.usage is None:
        return False
    before = 0 if known is None else known.usage_percent
    return news.usage.percent >= _DEMANDS_FROM or news.usage.percent != before
