"""Counters and histograms for what happens with every webhook.

prometheus-client's take a lock for each number that they raise, and compare a value with each bound
in turn. These belong to one event loop, and are put in its words when somebody asks; names, labels
and samples are the same.
"""

import time
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.utils import INF, floatToGoString


class Count:
    """One number of a counter."""

    __slots__ = ("began", "value")

    def __init__(self) -> None:
        self.value = 0
        self.began: Final = time.time()

    def inc(self, by: int = 1) -> None:
        """Raise it."""
        self.value += by


class QuickCounter:
    """A counter with one label."""

    def __init__(
        self, name: str, documentation: str, label: str, *, registry: CollectorRegistry = REGISTRY
    ) -> None:
        """Take part in what the registry tells."""
        self._described = (name, documentation, label)
        self._counts: dict[str, Count] = {}
        registry.register(self)

    def labels(self, value: str) -> Count:
        """Return the number of a value of the label."""
        count = self._counts.get(value)
        if count is None:
            count = self._counts[value] = Count()
        return count

    def describe(self) -> Iterable[CounterMetricFamily]:
        """Return what says its name."""
        return self.collect()

    def collect(self) -> Iterable[CounterMetricFamily]:
        """Return the numbers as prometheus-client has them."""
        name, documentation, label = self._described
        family = CounterMetricFamily(name, documentation, labels=[label])
        for value, count in self._counts.items():
            family.add_metric([value], count.value, created=count.began)
        return [family]


class QuickHistogram:
    """A histogram without labels."""

    def __init__(
        self,
        name: str,
        documentation: str,
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        """Take part in what the registry tells; the bounds of the buckets rise."""
        self._described = (name, documentation)
        self._bounds = [*map(float, buckets), INF]
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0
        self._began = time.time()
        registry.register(self)

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """Return what says its name."""
        return self.collect()

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Return the numbers as prometheus-client has them."""
        name, documentation = self._described
        bounds = map(floatToGoString, self._bounds)
        buckets = list(zip(bounds, map(float, accumulate(self._counts)), strict=True))
        family = HistogramMetricFamily(name, documentation, buckets=buckets, sum_value=self._sum)
        family.add_sample(f"{name}_created", {}, self._began)
        return [family]
