"""Entry point of ``python -m monuseg_cli``."""

from monuseg_cli.cli.app import main

if __name__ == "__main__":
    main()
