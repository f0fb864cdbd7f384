"""Composition root of `gateway routing`: inbound events, public events, timers, upkeep."""

from datetime import timedelta

from gateway.broker.consumer import PartitionConsumer
from gateway.contracts.topics import INBOUND
from gateway.db.maintenance import Maintenance
from gateway.relay import Relay
from gateway.roles import RoleParts, run_role
from gateway.settings import Settings
from routing.inbound.draining import Drain
from routing.inbound.transaction import InboundRules
from routing.inbound.worker import InboundHandler
from routing.reruns import Reruns
from routing.retention import Retention
from routing.timers import TimerWorker


def run(settings: Settings) -> None:
    """Run the role until it is told to end."""
    run_role(settings, "routing", _compose)


async def _compose(parts: RoleParts) -> None:
    settings, database, lifecycle = parts.settings, parts.database, parts.lifecycle
    rules = InboundRules(
        per_source=settings.parked_per_source,
        with_owner=timedelta(days=settings.parked_days),
        window_notice=timedelta(seconds=settings.window_closing_seconds) or None,
    )
    topics = parts.topics()
    consumer = PartitionConsumer(
        parts.kafka(),
        topics,
        InboundHandler(database, topic=INBOUND, rules=rules),
        topic=INBOUND,
        group_id=settings.kafka_group_id,
        instance_id=settings.kafka_group_instance_id,
    )
    relay = Relay(database, parts.producer(topics), parts.leases("relay"), wakeups=parts.wakeups)
    timers = TimerWorker(database, parts.leases("timers"), parts.wakeups)
    upkeep = Maintenance(
        database,
        inbox_days=settings.inbox_days,
        events_days=settings.events_days,
        audit_days=settings.audit_days,
    )
    reruns = Reruns(database, per_second=settings.reruns_per_second)
    lifecycle.on_drain("consumer", consumer.stop)
    lifecycle.supervise("consumer", consumer.run)
    lifecycle.supervise("relay", relay.run)
    lifecycle.supervise("timers", timers.run)
    lifecycle.supervise("parked", Drain(database, topic=INBOUND, rules=rules).run)
    lifecycle.supervise("reruns", reruns.run)
    lifecycle.supervise("maintenance", upkeep.run)
    lifecycle.supervise("retention", Retention(database).run)


if __name__ == "__main__":
    run(Settings())
