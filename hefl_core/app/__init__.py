"""What the application keeps between clicks: sessions, jobs, comparisons, the report. Nothing here draws."""
