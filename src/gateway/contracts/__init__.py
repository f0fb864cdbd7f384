"""The published language: events on Kafka and in webhooks, their envelope and topics."""
