"""Sessions: the machines of client and server, and what they share."""
