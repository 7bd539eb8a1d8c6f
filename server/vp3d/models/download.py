"""Fetch weights from their official address: resumable, checked against the table, never without being asked."""

import http.client
import logging
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from vp3d.errors import UserError
from vp3d.models.check import sha256
from vp3d.models.folder import writing
from vp3d.models.lookup import model
from vp3d.models.table import Model, WeightFile
from vp3d.paths import models_folder
from vp3d.progress import Progress, silent

log = logging.getLogger(__name__)

STAGE = "download"
MIRROR_VARIABLE = "VP3D_MODELS_MIRROR"
"""Environment variable with the address of a copy of a models folder, used instead of the official addresses."""
_CHUNK = 1 << 16
_TIMEOUT_S = 30


def download(name: str, progress: Progress = silent) -> Path:
    """Download a model's missing files into the user's models folder and return the first one's path.

    An interrupted or cancelled download leaves `FILE.part`, and the next call goes on from there. Proxies are those of
    the standard library: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, or the system's.

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
        source = f"Get {row.files[0].name} from {row.page}, and import it." if row.page else "Import the file."
        raise UserError(f"{row.title} has no download.", source)
    folder = models_folder() / row.layouts[0]
    done = 0
    with writing():
        folder.mkdir(parents=True, exist_ok=True)
        for file in row.files:
            address = _address(row, file)
            try:
                _fetch(row, file, address, folder / file.name, done, progress)
            except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
                reason = getattr(error, "reason", None) or error
                raise UserError(
                    f"{file.name} could not be downloaded ({reason}).", _advice(reason, address, folder)
                ) from error
            done += file.size
            progress(STAGE, done, row.size)
    return folder / row.files[0].name


def _address(row: Model, file: WeightFile) -> str:
    mirror = os.environ.get(MIRROR_VARIABLE, "").strip()
    if not mirror:
        return file.address
    if urllib.parse.urlsplit(mirror).scheme not in ("http", "https"):
        raise UserError(f"“{mirror}” is no address of a mirror.", "It must begin with http:// or https://.")
    return "/".join(filter(None, (mirror.rstrip("/"), row.layouts[0], file.name)))


def _advice(reason: object, address: str, folder: Path) -> str:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return "Name your company's certificates in the environment variable SSL_CERT_FILE, and try again."
    return (
        "Check the connection and try again: what has arrived is kept. "
        f"Or fetch {address} elsewhere and put it into {folder}."
    )


def _fetch(row: Model, file: WeightFile, address: str, path: Path, before: int, progress: Progress) -> None:
    if path.is_file() and path.stat().st_size == file.size and sha256(path) == file.sha256:
        return
    part = path.with_name(path.name + ".part")
    if part.is_file() and part.stat().st_size > file.size:
        part.unlink()
    have = part.stat().st_size if part.is_file() else 0
    if have < file.size:
        with _open(address, have, part) as answer:
            # A server that ignores the range sends the whole file.
            if answer.status != http.client.PARTIAL_CONTENT:
                have = 0
            _check_answer(file, answer, have)
            log.info("downloading %s from byte %d", address, have)
            with part.open("ab" if have else "wb") as stream:
                while have < file.size and (chunk := answer.read(min(_CHUNK, file.size - have))):
                    stream.write(chunk)
                    have += len(chunk)
                    progress(STAGE, before + have, row.size)
    if have < file.size:
        raise http.client.HTTPException(f"the connection ended after {have} of {file.size} bytes")
    if sha256(part) != file.sha256:
        part.unlink()
        raise UserError(
            f"The downloaded {file.name} is not the official file (its checksum differs).",
            "Try again, perhaps on another connection: a proxy or a damaged transfer may have changed it.",
        )
    part.replace(path)


def _open(address: str, have: int, part: Path) -> http.client.HTTPResponse:
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        return urllib.request.build_opener().open(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)  # what is there did not come from this file
        raise


def _check_answer(file: WeightFile, answer: http.client.HTTPResponse, have: int) -> None:
    """Refuse what cannot be the file, for instance a network's login page, before anything is written."""
    if have and not answer.headers.get("Content-Range", f"bytes {have}-").startswith(f"bytes {have}-"):
        raise http.client.HTTPException("the server sent another part than asked for")
    length = answer.headers.get("Content-Length", "")
    if length.isdecimal() and have + int(length) != file.size:
        raise UserError(
            f"The server answers with another file than {file.name}: {have + int(length):,} bytes, not {file.size:,}.",
            "Open a web page first if your network asks for a login; or look at the address of the mirror.",
        )
