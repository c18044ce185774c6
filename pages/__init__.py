"""The pages, each drawn inside the frame of app.py."""
