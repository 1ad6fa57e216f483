"""From energy sources to registers: pure measurement."""
