"""Gives the events of the inbound topic their effects."""
