"""Calls to addresses that customers chose."""
