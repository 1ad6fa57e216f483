"""The smart meter and the street of meters."""
