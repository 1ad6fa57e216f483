"""The meter's side of its home port: who is paired, what is pushed, and the port itself."""
