"""Demand response and supply: what the head-end wants of meters, carried to them and told back."""
