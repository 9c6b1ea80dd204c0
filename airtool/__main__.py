"""``python -m airtool``."""

import sys

from airtool.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
