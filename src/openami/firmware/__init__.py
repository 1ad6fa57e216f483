"""Firmware: MCUboot images, two banks of flash, the boot code, image transfer; releases."""
