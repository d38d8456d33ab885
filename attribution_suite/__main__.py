"""`python -m attribution_suite`: the command line."""

import sys

from attribution_suite.cli import main

if __name__ == "__main__":
    sys.exit(main())
