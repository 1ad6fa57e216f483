"""Ciphers, key wrap, envelopes: octets in, octets out, ``SecurityError`` for all that fails."""
