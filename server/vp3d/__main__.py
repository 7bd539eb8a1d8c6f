"""`python -m vp3d`: the command line, for environments without the `vp3d` script."""

from vp3d.cli import main

if __name__ == "__main__":
    main()
