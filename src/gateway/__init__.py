"""The channel gateway: verified webhooks in, ordered events on Kafka, replies that leave once."""

__version__ = "0.1.0"
