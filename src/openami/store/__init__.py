"""The only database code."""
