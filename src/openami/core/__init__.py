"""Errors, clocks, units and identifiers that every room shares."""
