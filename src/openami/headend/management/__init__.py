"""Device management: accounts, sessions, their log, and what wakes a device."""
