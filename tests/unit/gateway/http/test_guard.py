"""How connections are counted, and which ones go when there is too much."""

import pytest

from gateway.http.guard import Guard, Limits


class Connection:
    def __init__(self, since=0.0):
        self.peer: str | None = None
        self.deadline: float | None = None
        self.body_bytes = 0
        self.body_since = since
        self.was_shed = False

    def expire(self):
        pass

    def shed(self):
        self.was_shed = True


def admitted(guard, address, count):
    return [guard.admit(Connection(), address) for _ in range(count)]


def test_a_peer_may_have_so_many_connections_and_no_more():
    guard = Guard(Limits(connections_per_peer=2))
    assert admitted(guard, "198.51.100.1", 3) == [True, True, False]
    assert admitted(guard, "198.51.100.2", 1) == [True]


def test_a_connection_that_ends_makes_room():
    guard = Guard(Limits(connections_per_peer=1))
    connection = Connection()
    assert guard.admit(connection, "198.51.100.1")
    guard.forget(connection)
    guard.forget(connection)
    assert admitted(guard, "198.51.100.1", 2) == [True, False]


def test_an_ipv6_subscriber_is_one_peer():
    guard = Guard(Limits(connections_per_peer=2))
    assert admitted(guard, "2001:db8:1:2::1", 1) == [True]
    assert admitted(guard, "2001:db8:1:2:ffff::9", 2) == [True, False]
    assert admitted(guard, "2001:db8:1:3::1", 1) == [True]


@pytest.mark.parametrize("address", ["10.0.0.7", "10.0.0.8", "127.0.0.1", "::1", None])
def test_proxies_and_this_machine_are_many_clients(address):
    guard = Guard(Limits(connections_per_peer=1), trusted_proxies=["10.0.0.0/24"])
    assert admitted(guard, address, 3) == [True, True, True]


def test_what_comes_for_longest_goes_first():
    guard = Guard(Limits(unread_bytes=100))
    old, young, younger = (Connection(since) for since in (1.0, 2.0, 3.0))
    for each in (old, young, younger):
        guard.admit(each, None)
    guard.body_grew(young, 40)
    guard.body_grew(old, 40)
    guard.body_grew(younger, 40)
    assert (old.was_shed, young.was_shed, younger.was_shed) == (True, False, False)


def test_bodies_that_have_arrived_do_not_count():
    guard = Guard(Limits(unread_bytes=100))
    first, second = Connection(), Connection()
    guard.admit(first, None)
    guard.admit(second, None)
    guard.body_grew(first, 90)
    guard.body_ended(first)
    guard.body_grew(second, 90)
    assert not first.was_shed
    assert not second.was_shed
