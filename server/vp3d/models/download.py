"""Fetch weights from their official address: resumable, checked against the table, never without being asked."""

import hashlib
import http.client
import logging
import urllib.error
import urllib.request
from pathlib import Path

from vp3d.errors import UserError
from vp3d.models.lookup import FOLDERS_VARIABLE, model
from vp3d.models.table import Model, WeightFile
from vp3d.paths import models_folder
from vp3d.progress import Progress, silent

log = logging.getLogger(__name__)

STAGE = "download"
_CHUNK = 1 << 16
_TIMEOUT_S = 30


def download(name: str, progress: Progress = silent) -> Path:
    """Download a model's missing files into the user's models folder and return the first one's path.

    An interrupted or cancelled download leaves `FILE.part`, and the next call goes on from there.

    Args:
        name: name in the table.
        progress: called with ("download", bytes done, bytes in all) for the whole model.

    Raises:
        UserError: no such model, nothing to download it from, no connection, full disk, or a file that differs from
            the official one.
        Cancelled: whatever `progress` raises ends the download.
    """
    row = model(name)
    if not row.size:
        raise UserError(
            f"{row.title} has no download.", f"Put {row.files[0].name} into a folder named in {FOLDERS_VARIABLE}."
        )
    folder = models_folder() / row.layouts[0]
    done = 0
    for file in row.files:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _fetch(row, file, folder / file.name, done, progress)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            reason = getattr(error, "reason", None) or error
            raise UserError(
                f"{file.name} could not be downloaded ({reason}).",
                f"Check the connection and try again: what has arrived is kept. Or fetch {file.address} elsewhere and "
                f"put it into {folder}.",
            ) from error
        except OSError as error:
            raise UserError(
                f"{folder} could not be written ({error.strerror or error}).",
                f"Make room or name another folder in {FOLDERS_VARIABLE}.",
            ) from error
        done += file.size
        progress(STAGE, done, row.size)
    return folder / row.files[0].name


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _fetch(row: Model, file: WeightFile, path: Path, before: int, progress: Progress) -> None:
    if path.is_file() and path.stat().st_size == file.size and _sha256(path) == file.sha256:
        return
    part = path.with_name(path.name + ".part")
    if part.is_file() and part.stat().st_size >= file.size:
        part.unlink()
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(file.address, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
        # A server that ignores the range sends the whole file.
        if answer.status != http.client.PARTIAL_CONTENT:
            have = 0
        log.info("downloading %s from byte %d", file.address, have)
        with part.open("ab" if have else "wb") as stream:
            while have < file.size and (chunk := answer.read(min(_CHUNK, file.size - have))):
                stream.write(chunk)
                have += len(chunk)
                progress(STAGE, before + have, row.size)
    if have < file.size:
        raise http.client.HTTPException(f"the connection ended after {have} of {file.size} bytes")
    if _sha256(part) != file.sha256:
        part.unlink()
        raise UserError(
            f"The downloaded {file.name} is not the official file (its checksum differs).",
            "Try again, perhaps on another connection: a proxy or a damaged transfer may have changed it.",
        )
    part.replace(path)
