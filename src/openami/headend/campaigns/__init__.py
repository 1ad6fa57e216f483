"""Campaigns at the head-end: kept in its store, carried to DCUs, told to operators."""
