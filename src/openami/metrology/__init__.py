"""From samples to measurements: energy, demand, profiles, billing and events of a meter, pure."""
