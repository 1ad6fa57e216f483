"""The data concentrator application."""
