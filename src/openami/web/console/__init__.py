"""The operators' pages: server-rendered, kept fresh by htmx and server-sent events."""

from openami.web.console.pages import routes

__all__ = ["routes"]
