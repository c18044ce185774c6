"""State of the application between clicks: sessions, jobs, comparisons, the report. Nothing here draws."""
