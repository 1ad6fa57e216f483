"""Devices, schedules, jobs and the ports of their stores."""
