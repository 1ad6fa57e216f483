"""Messages as typed values, and between values and octets."""
