"""Who may be trusted: authorities, certificates, trust anchors, registrations, alarms."""
