"""The metering server of C12.22: registrations, schedule, reads, clocks, notifications."""
