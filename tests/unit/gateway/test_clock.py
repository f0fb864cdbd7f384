from datetime import UTC, datetime, timedelta

from gateway.clock import TrueTime

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Machine:
    def __init__(self):
        self.wall = NOON.timestamp()
        self.ticks = 77.0

    def pass_by(self, seconds):
        self.wall += seconds
        self.ticks += seconds

    def true_time(self):
        return TrueTime(machine=lambda: self.wall, monotonic=lambda: self.ticks)


def test_until_it_is_told_it_is_the_machines_clock():
    machine = Machine()
    time = machine.true_time()
    assert time.now() == NOON
    machine.wall += 600
    assert time.now() == NOON + timedelta(seconds=600)


def test_once_told_it_goes_on_whatever_becomes_of_the_machines_clock():
    machine = Machine()
    time = machine.true_time()
    time.correct(timedelta(seconds=-600))
    assert time.now() == NOON - timedelta(seconds=600)
    machine.pass_by(5)
    machine.wall -= 1000
    assert time.now() == NOON - timedelta(seconds=595)
    time.correct(timedelta())
    machine.pass_by(5)
    assert time.now() == NOON - timedelta(seconds=590)
