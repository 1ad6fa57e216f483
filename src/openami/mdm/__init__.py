"""Meter data: columns, intervals, validation."""
