"""OMA Download 1.0: a descriptor, then the object that it names, whatever cuts in between.

Here are the descriptor, the statuses, and the machine that decides; sockets and files are others'.
"""
