"""SSMP 1: how a device registers, is certified and gets its accounts."""
