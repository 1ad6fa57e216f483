"""openami: an open Advanced Metering Infrastructure, whole."""

__version__ = "0.1.0"
