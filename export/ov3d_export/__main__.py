"""Entry point of `python -m ov3d_export`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
