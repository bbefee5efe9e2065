"""``python -m relax`` is the command ``relax``."""

from relax.cli.app import main

if __name__ == "__main__":
    main()
