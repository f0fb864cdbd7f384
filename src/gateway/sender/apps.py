"""Limits of whole Meta apps, as one sender keeps to them: each account has its portion."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from gateway.domain.shares import newcomers_share
from gateway.domain.usage import Usage, fullest
from gateway.sender.rates import Bucket, Meter

# Slower than this, a share would be a rest.
_LEAST_SHARE: Final = 0.01


@dataclass(slots=True)
class News:
    """What calls told of an app's limit since it was asked last."""

    usage: Usage | None = None
    refused: bool = False
    called_at: datetime | None = None

    def hear(self, usage: Usage | None, *, refused: bool, called_at: datetime) -> None:
        """Take in what one call told; the latest call that began is believed."""
        self.refused = self.refused or refused
        if self.called_at is None or called_at >= self.called_at:
            self.usage = usage or self.usage
            self.called_at = called_at
        elif usage is not None and usage.spent:
            self.usage = fullest(self.usage, usage)


@dataclass(slots=True)
class App:
    """One Meta app: how fast all accounts together may call through it, and what calls told."""

    id: str
    # None: nothing is slowed.
    rate: float | None = None
    # How many accounts share it, as far as is known.
    accounts: int = 0
    news: News = field(default_factory=News)

    def take_news(self) -> News:
        """Return and forget what calls told."""
        taken, self.news = self.news, News()
        return taken

    def give_back(self, news: News) -> None:
        """Take back what could not be told; what came meanwhile is newer."""
        if news.called_at is not None:
            self.news.hear(news.usage, refused=news.refused, called_at=news.called_at)


@dataclass(slots=True)
class Portion:
    """What one account may call through one app."""

    key: str
    app: App
    account_id: str
    meter: Meter = field(default_factory=Meter)
    _bucket: Bucket | None = None

    def __post_init__(self) -> None:
        if self.app.rate is not None:
            self.share(newcomers_share(self.app.rate, self.app.accounts))

    @property
    def app_id(self) -> str:
        """The app's id."""
        return self.app.id

    @property
    def rate(self) -> float | None:
        """Calls a second; None: any number."""
        return None if self._bucket is None else self._bucket.rate

    def share(self, rate: float | None) -> None:
        """Take the share that was decided; None: there is no need of shares."""
        if rate is None:
            self._bucket = None
        elif self._bucket is None:
            self._bucket = Bucket(max(rate, _LEAST_SHARE))
        else:
            self._bucket.change(max(rate, _LEAST_SHARE))

    def free_at(self, now: datetime) -> datetime:
        """Return when one call may be made; not later than `now` if now."""
        return now if self._bucket is None else self._bucket.free_at(now)

    def take(self, now: datetime) -> None:
        """Make one call."""
        self.meter.count(now)
        if self._bucket is not None:
            self._bucket.take(now)

    def give_back(self) -> None:
        """Take back that a call was made: it was not."""
        self.meter.give_back()
        if self._bucket is not None:
            self._bucket.give_back()

    def free(self, now: datetime, most: int) -> int:
        """Return how many calls may be made now, at most so many."""
        if self._bucket is None:
            return most
        return min(most, int(self._bucket.tokens)) if self.free_at(now) <= now else 0


class Apps:
    """The Meta apps that a sender calls through, and the portions of accounts."""

    def __init__(self) -> None:
        self._apps: dict[str, App] = {}
        self._portions: dict[str, Portion] = {}

    def __iter__(self) -> Iterator[App]:
        return iter(self._apps.values())

    @property
    def portions(self) -> Iterable[Portion]:
        """All portions."""
        return self._portions.values()

    def app(self, app_id: str) -> App:
        """Return an app, which need not be known."""
        if app_id not in self._apps:
            self._apps[app_id] = App(app_id)
        return self._apps[app_id]

    def portion(self, app_id: str, account_id: str) -> Portion:
        """Return an account's portion of an app, which need not be known."""
        key = _key(app_id, account_id)
        if key not in self._portions:
            self._portions[key] = Portion(key, self.app(app_id), account_id)
        return self._portions[key]

    def by_key(self, key: str) -> Portion | None:
        """Return a portion by its key."""
        return self._portions.get(key)

    def share(self, app_id: str, rate: float | None, shares: Mapping[str, float]) -> None:
        """Take what was decided of an app: its rate and, by account, our part of it."""
        app = self.app(app_id)
        app.rate, app.accounts = rate, len(shares)
        for portion in self._portions.values():
            if portion.app is app:
                newcomer = None if rate is None else newcomers_share(rate, len(shares))
                portion.share(None if rate is None else shares.get(portion.account_id, newcomer))

    def keep(self, keys: Collection[str]) -> None:
        """Forget portions but these."""
        self._portions = {key: each for key, each in self._portions.items() if key in keys}


def _key(app_id: str, account_id: str) -> str:
    # No target's id has a blank.
    return f"{app_id} {account_id}"
