"""ANSI C12.22 beside DLMS: the same registers, profiles and logs as tables of C12.19."""
