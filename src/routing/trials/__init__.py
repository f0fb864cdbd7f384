"""Tries a routing without effect: on an enquiry to come, and on those of the past."""
