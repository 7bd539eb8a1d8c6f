"""`python3 -m install`, or `python3 path/to/install`: says so where Python is too old to read the rest."""

import os
import sys

if sys.version_info < (3, 10):  # noqa: UP036
    sys.exit("VP3D Mocap needs Python 3.10 or newer, and this is Python %d.%d." % sys.version_info[:2])  # noqa: UP031

if not __package__:
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120

from install.command_line import main

if __name__ == "__main__":
    sys.exit(main())
