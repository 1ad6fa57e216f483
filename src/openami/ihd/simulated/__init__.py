"""Appliances that exist as physics only, for demos and tests."""
