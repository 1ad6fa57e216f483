"""The security module: a process of its own that alone has the DCU's private keys."""
