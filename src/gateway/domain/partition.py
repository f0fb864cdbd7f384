"""Partitions of a topic, each worked on by one owner at a time."""


class PartitionLostError(Exception):
    """Another process has taken the partition over; nothing of this transaction may stay."""
