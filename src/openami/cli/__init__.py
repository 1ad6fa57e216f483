"""The openami command."""
