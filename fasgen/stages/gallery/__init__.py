"""Live and spoof faces that several trainings learn from: real crops of stores, and spoofs simulated from live faces."""
