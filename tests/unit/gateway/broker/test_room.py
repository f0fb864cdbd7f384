"""What partitions hold together: shares, and the whole."""

from gateway.broker.room import LEAST_RECORDS, ROOM_BYTES, ROOM_RECORDS, Room


class Teller:
    def __init__(self):
        self.told = 0

    def __call__(self):
        self.told += 1


def test_partitions_that_are_not_full_hold_no_more_than_the_room_when_they_have_read():
    room = Room()
    shares = [room.enter(Teller()) for _ in range(64)]
    held = 0
    for share in shares:
        while not share.full:
            share.take(room.portion, 0)
            held += room.portion
    assert held <= ROOM_RECORDS


def test_a_share_is_worth_a_read_however_many_partitions_there_are():
    room = Room()
    shares = [room.enter(Teller()) for _ in range(1_000)]
    assert room.share_records == LEAST_RECORDS
    shares[0].take(LEAST_RECORDS // 2, 0)
    assert not shares[0].full


def test_large_records_of_many_partitions_stop_everybody_until_half_is_done():
    room = Room()
    tellers = [Teller() for _ in range(64)]
    shares = [room.enter(teller) for teller in tellers]
    for teller in tellers:
        teller.told = 0
    shares[0].take(1, ROOM_BYTES // 2)
    shares[1].take(1, ROOM_BYTES // 2)
    assert {share.full for share in shares[2:]} == {False}
    shares[2].take(1, 1)
    assert {share.full for share in shares} == {True}
    assert all(teller.told == 1 for teller in tellers)
    shares[2].free(1, 1)
    assert {share.full for share in shares} == {True}
    shares[0].free(1, ROOM_BYTES // 2)
    assert [share.full for share in shares[:3]] == [False, True, False]
    assert all(teller.told == 2 for teller in tellers)


def test_who_leaves_takes_what_it_held_along():
    room = Room(size=100)
    first, second = room.enter(Teller()), room.enter(Teller())
    first.take(1, 101)
    full_before = second.full
    first.leave()
    assert (full_before, second.full) == (True, False)
    assert room.share_records == ROOM_RECORDS
    first.leave()
    assert room.share_records == ROOM_RECORDS
