"""The in-home display over HTTP: its page and its local API."""
