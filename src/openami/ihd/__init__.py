"""The in-home display: what a household sees of its meter, and the appliances behind it."""
