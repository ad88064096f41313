"""Plain script for people who look for one: the same as `python -m ov3d_trainer evaluate`."""

import sys

from ov3d_trainer.cli import main_command

if __name__ == "__main__":
    sys.exit(main_command("evaluate"))
