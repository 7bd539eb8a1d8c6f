"""Weights: one table, one look-up order, and a download that only happens when asked for."""

from vp3d.models.download import MIRROR_VARIABLE, download
from vp3d.models.folder import Status, bring, remove, status
from vp3d.models.lookup import BUNDLED, FOLDERS_VARIABLE, find, require
from vp3d.models.table import MODELS, Model, WeightFile

__all__ = [
    "BUNDLED", "FOLDERS_VARIABLE", "MIRROR_VARIABLE", "MODELS", "Model", "Status", "WeightFile",
    "bring", "download", "find", "remove", "require", "status",
]  # fmt: skip
