"""The network: who is registered where, and stations that pass messages on by ApTitle."""
