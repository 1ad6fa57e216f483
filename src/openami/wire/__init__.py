"""Bounded reading and writing of octets, checksums, lengths."""
