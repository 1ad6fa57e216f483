"""How a device gets its first account: the documents of OMA-TS-DM_Bootstrap 1.2, both ways."""
