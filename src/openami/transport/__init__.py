"""The only sockets, serial lines, HTTP, TLS and timers."""
