"""``python -m fasgen``."""

import sys

from fasgen.cli import main

if __name__ == "__main__":
    sys.exit(main())
