"""Where the parties run: in this process, as Ray actors, or as services; launch, restart, journal."""
