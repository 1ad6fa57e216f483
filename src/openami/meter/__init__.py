"""The smart meter as an application: a COSEM server over an exact measurement."""
