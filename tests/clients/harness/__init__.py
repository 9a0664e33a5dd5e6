"""What the suites share: starting real processes, real clients, and waiting with a deadline."""
