"""Is the coordinator blind? Processes are searched for what they must not have."""
