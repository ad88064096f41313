"""Plain script for people who look for one: the same as `python -m ov3d_export student`."""

import sys

from ov3d_export.cli import main_student

if __name__ == "__main__":
    sys.exit(main_student())
