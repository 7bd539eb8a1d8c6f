"""Where this program keeps its files: one folder per user, the same that the installer and the add-on use."""

import os
from pathlib import Path

import platformdirs

HOME_VARIABLE = "VP3D_HOME"
"""Environment variable that moves the folder."""


def home() -> Path:
    """The folder of environments, models, caches and logs; not made until something is written."""
    return Path(os.environ.get(HOME_VARIABLE) or platformdirs.user_data_dir("vp3d", appauthor=False))


def models_folder() -> Path:
    """Where downloaded weights are kept."""
    return home() / "models"


def cache_folder() -> Path:
    """Where finished stages and compiled networks are kept; deleting it costs time only."""
    return home() / "cache"


def log_folder() -> Path:
    """Where the server writes its log files."""
    return home() / "logs"
