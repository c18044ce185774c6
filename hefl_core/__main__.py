"""``python -m hefl_core``."""

from hefl_core.cli.main import main

if __name__ == "__main__":
    main()
