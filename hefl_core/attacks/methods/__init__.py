"""One attack a file, under its name in the literature. An attack sees a view, never the truth."""
