"""The way of displays to their meters through the DCU, which carries what it cannot read."""
