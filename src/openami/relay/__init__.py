"""A relay of C12.22: the machine on its sockets, and its ways in a file."""
