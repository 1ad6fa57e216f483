"""The management tree of a device (OMA-TS-DM_TND-V1_2): nodes, their rules, and what servers do."""
