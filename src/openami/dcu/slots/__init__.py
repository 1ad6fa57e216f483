"""The DCU's own software in two slots: staged, tried, watched, and kept or given up."""
