"""The demonstration: a real service, two simulated centers and three days of real jobs."""
