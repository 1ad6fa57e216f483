"""What a server has a DCU fetch and install: FUMO for its firmware, SCOMO for components."""
