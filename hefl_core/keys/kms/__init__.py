"""The key management service: what it keeps, issues, logs and answers."""
