"""Decides who takes each enquiry: consumes inbound events, assigns destinations, fires timers."""
