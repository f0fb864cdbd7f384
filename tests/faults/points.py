"""Places in the roles at which a process can be made to die.

The roles have hooks `at` for such things; the other places are the edges of calls. Everything is
planted from outside, into the process of a test (`mortal.py`): the product knows nothing of it.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

Pass = Callable[[str], None]
Plant = Callable[[Pass], None]


def _hooks(owner: Any, part: str) -> Plant:
    """Give a part of a role its `at`, which names its points."""

    def plant(passed: Pass) -> None:
        construct = owner.__init__

        async def at(point: str, *_what: object) -> None:
            passed(f"{part}.{point}")

        @functools.wraps(construct)
        def with_hook(self: object, *arguments: Any, **named: Any) -> None:
            construct(self, *arguments, **{**named, "at": at})

        owner.__init__ = with_hook

    return plant


def _call(owner: Any, name: str, *, before: str = "", after: str = "") -> Plant:
    """Name the moments just before and just after a call of a function or method."""

    def plant(passed: Pass) -> None:
        original = getattr(owner, name)

        @functools.wraps(original)
        async def later(*arguments: Any, **named: Any) -> Any:
            if before:
                passed(before)
            result = await original(*arguments, **named)
            if after:
                passed(after)
            return result

        @functools.wraps(original)
        def now(*arguments: Any, **named: Any) -> Any:
            if before:
                passed(before)
            result = original(*arguments, **named)
            if after:
                passed(after)
            return result

        setattr(owner, name, later if inspect.iscoroutinefunction(original) else now)

    return plant


def _write(passed: Pass) -> None:
    """Name the same moments where nobody waits in a task: before, and before who waits is told."""
    from gateway.broker.producer import KafkaProducer  # noqa: PLC0415 - see `plants`

    original = KafkaProducer.write

    @functools.wraps(original)
    def write(self: Any, records: Any, then: Callable[[Any], None], *, timeout: float) -> bool:
        def told(error: Exception | None) -> None:
            if error is None:
                passed("ingress.after_produce")
            then(error)

        passed("ingress.before_produce")
        return original(self, records, told, timeout=timeout)

    KafkaProducer.write = write  # type: ignore[method-assign, assignment]


def _written(passed: Pass) -> None:
    """Name the moment before the commit of a transaction that has something to tell."""
    from gateway.db.unit_of_work import UnitOfWork  # noqa: PLC0415 - see `plants`

    original = UnitOfWork.flush

    async def flush(self: UnitOfWork) -> None:
        await original(self)
        if self.woken:
            passed("rest.before_commit")

    UnitOfWork.flush = flush  # type: ignore[method-assign]


def plants(role: str) -> tuple[Plant, ...]:
    """Return what plants the points of a role; it imports what that role needs anyway."""
    return {"api": _of_api, "routing": _of_routing, "sender": _of_sender}[role]()


def _of_api() -> tuple[Plant, ...]:
    from gateway.broker.batches import Batches  # noqa: PLC0415 - see `plants`
    from gateway.broker.producer import KafkaProducer  # noqa: PLC0415 - see `plants`
    from gateway.db.wakeups import Wakeups  # noqa: PLC0415 - see `plants`

    return (
        _call(
            KafkaProducer,
            "produce_all",
            before="ingress.before_produce",
            after="ingress.after_produce",
        ),
        _write,
        # Some records of a body may be on their way, others not.
        _call(Batches, "_wait", after="ingress.half_queued"),
        _written,
        # Its own connection sends the NOTIFY afterwards; the answer has not left either.
        _call(Wakeups, "wake", before="rest.after_commit"),
    )


def _of_routing() -> tuple[Plant, ...]:
    import gateway.relay  # noqa: PLC0415 - see `plants`
    import routing.inbound.worker  # noqa: PLC0415 - see `plants`
    import routing.timers  # noqa: PLC0415 - see `plants`
    from gateway.db.wakeups import Wakeups  # noqa: PLC0415 - see `plants`

    return (
        _hooks(routing.inbound.worker.InboundHandler, "inbound"),
        _call(routing.inbound.worker, "claim_partition", after="inbound.claimed"),
        _call(
            routing.inbound.worker,
            "give_partition_back",
            before="inbound.before_give_back",
            after="inbound.given_back",
        ),
        _hooks(gateway.relay.Relay, "relay"),
        _call(gateway.relay, "give_positions", after="relay.marked"),
        _hooks(routing.timers.TimerWorker, "timers"),
        _call(Wakeups, "wake", before="routing.before_notify"),
        _of_leases(),
    )


def _of_sender() -> tuple[Plant, ...]:
    from gateway.db.leases import ShardLeases  # noqa: PLC0415 - see `plants`
    from gateway.meta.uploading import AttachmentUploads  # noqa: PLC0415 - see `plants`
    from gateway.sender.board import Board  # noqa: PLC0415 - see `plants`
    from gateway.sender.media_desk import MediaDesk  # noqa: PLC0415 - see `plants`
    from gateway.sender.settling import Settlement  # noqa: PLC0415 - see `plants`
    from gateway.sender.worker import Sender  # noqa: PLC0415 - see `plants`

    return (
        _hooks(Sender, "sender"),
        _call(Settlement, "settle", after="settlement.before_commit"),
        _call(Board, "settled", before="settlement.after_commit"),
        _call(MediaDesk, "prepare", before="media.before_prepare", after="media.prepared"),
        _call(AttachmentUploads, "upload", before="media.before_upload", after="media.uploaded"),
        _call(Sender, "drain", before="sender.drain"),
        _call(ShardLeases, "release_all", before="leases.before_release"),
        _of_leases(),
    )


def _of_leases() -> Plant:
    from gateway.db.leases import ShardLeases  # noqa: PLC0415 - see `plants`

    return _call(ShardLeases, "_execute", before="leases.before_renewal", after="leases.renewed")


# What a send passes, in this order; one that is tried again passes them again.
POINTS_OF_A_SEND: tuple[str, ...] = (
    "sender.before_claim",
    "sender.after_claim",
    "sender.before_call",
    "sender.after_call",
    "sender.before_settle",
    "settlement.before_commit",
    "settlement.after_commit",
)
# What it passes before, where it carries a file that Meta does not have.
POINTS_OF_A_FILE: tuple[str, ...] = (
    "media.before_prepare",
    "media.before_upload",
    "media.uploaded",
    "media.prepared",
)
# What traffic alone leads to.
UNDER_TRAFFIC: dict[str, tuple[str, ...]] = {
    "api": (
        "ingress.before_produce",
        "ingress.half_queued",
        "ingress.after_produce",
        "rest.before_commit",
        "rest.after_commit",
    ),
    "routing": (
        "timers.read",
        "timers.before_commit",
        "inbound.before_move",
        "inbound.before_commit",
        "inbound.after_commit",
        "routing.before_notify",
        "relay.before_produce",
        "relay.before_mark",
        "relay.marked",
        "leases.before_renewal",
        "leases.renewed",
    ),
    "sender": (*POINTS_OF_A_SEND, "leases.before_renewal", "leases.renewed"),
}
# Those on the way in, and on the way out after a SIGTERM.
STARTING: dict[str, tuple[str, ...]] = {"routing": ("inbound.claimed",)}
ENDING: dict[str, tuple[str, ...]] = {
    "routing": ("inbound.before_give_back", "inbound.given_back"),
    "sender": ("sender.drain", "leases.before_release"),
}
