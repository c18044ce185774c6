"""Settings, logs and metrics of a service."""
