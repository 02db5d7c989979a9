answers("Log", "Time")
