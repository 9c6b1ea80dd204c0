"""``airtool`` and ``python -m airtool``."""

import sys


def main() -> int:
    """Run one command line; Ctrl-C while Python is still loading ends it as quietly as later on."""
    try:
        from airtool.cli.app import main as run
    except KeyboardInterrupt:
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
