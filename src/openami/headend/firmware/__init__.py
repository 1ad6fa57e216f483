"""Firmware and software of devices: the release shelf and the repository that they fetch from."""
