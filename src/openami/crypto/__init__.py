"""Cryptographic primitives: octets in, octets out."""
