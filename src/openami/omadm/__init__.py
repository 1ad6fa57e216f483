"""OMA Device Management 1.2: messages, sessions, the management tree, notification, bootstrap.

Nothing here opens a socket, reads a clock or draws a random number: octets, ``now`` and nonces are
arguments. The names and their order are those of OMA-TS-DM_RepPro-V1_2 and OMA-TS-DM_Protocol-V1_2.
"""
