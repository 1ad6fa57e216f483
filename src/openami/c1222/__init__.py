"""ANSI C12.22 (IEEE 1703): a sans-IO protocol stack."""
