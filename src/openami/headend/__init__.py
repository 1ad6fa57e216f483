"""The head-end application."""
