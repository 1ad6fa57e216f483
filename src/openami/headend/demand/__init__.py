"""Demand response: events on their way to meters, what becomes of them, and what it saved."""
