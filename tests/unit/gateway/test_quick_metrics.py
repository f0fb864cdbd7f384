"""Quick metrics: what a scrape sees is what prometheus-client's own would show."""

import re

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from gateway.quick_metrics import QuickCounter, QuickHistogram

BUCKETS = (0.002, 0.5, 1, 2.5)


def told(registry):
    """Return what a scrape sees, but for the moments of the beginning."""
    return re.sub(r"(_created(?:{.*})?) .*", r"\1", generate_latest(registry).decode())


def test_a_counter_tells_what_that_of_the_library_would():
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    quick = QuickCounter("events_total", "Events.", "type", registry=ours)
    slow = Counter("events_total", "Events.", ["type"], registry=theirs)
    assert told(ours) == told(theirs)
    for counter in (quick, slow):
        counter.labels("a").inc()
        counter.labels("b\n").inc(3)
        counter.labels("a").inc()
        counter.labels("never")
    assert told(ours) == told(theirs)


@pytest.mark.parametrize(
    "values", [[], [0.0], [0.002], [0.0021], [2.5, 2.6, 1e9], [0.1, 0.7, 0.7, 3]]
)
def test_a_histogram_tells_what_that_of_the_library_would(values):
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    quick = QuickHistogram("seconds", "Time.", buckets=BUCKETS, registry=ours)
    slow = Histogram("seconds", "Time.", buckets=BUCKETS, registry=theirs)
    for value in values:
        quick.observe(value)
        slow.observe(value)
    assert told(ours) == told(theirs)


def test_a_name_is_taken_once():
    registry = CollectorRegistry()
    QuickCounter("events_total", "Events.", "type", registry=registry)
    with pytest.raises(ValueError, match="events"):
        QuickCounter("events_total", "Events.", "type", registry=registry)
