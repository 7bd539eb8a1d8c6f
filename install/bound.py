"""`python bound.py MODULE …`: runs a module as `python -m` does, until whoever holds its standard input is gone.

That holds on every system and however the other one dies.
"""

import os
import runpy
import sys
import threading


def _watch() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


threading.Thread(target=_watch, daemon=True).start()
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
