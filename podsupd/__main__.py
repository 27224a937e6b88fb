"""``python -m podsupd``."""

from podsupd.cli.main import main

if __name__ == "__main__":
    main()
