import errno
import hashlib
import importlib.util
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from vp3d import models
from vp3d.errors import Cancelled, UserError

DETECTOR = "human-pose-estimation-0001"
CONTENT = {"net.xml": b"<net/>" * 1000, "net.bin": bytes(range(256)) * 2000}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test looks into, or writes to, the real folders of the person who runs it."""
    monkeypatch.setenv("VP3D_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(models.FOLDERS_VARIABLE, raising=False)
    return tmp_path / "home"


@dataclass
class Site:
    """A web site on this computer that holds one model's files."""

    address: str
    ranges: bool = True
    content: dict[str, bytes] = field(default_factory=lambda: dict(CONTENT))
    cut_after: int | None = None
    asked: list[str | None] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            here.asked.append(wanted)
            body = here.content.get(self.path.lstrip("/"))
            if body is None:
                self.send_error(404)
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and here.ranges else 0
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            end = len(body) if here.cut_after is None else min(len(body), start + here.cut_after)
            self.wfile.write(body[start:end])

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here = Site(f"http://127.0.0.1:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield here
    server.shutdown()
    server.server_close()


@pytest.fixture
def net(site: Site, monkeypatch: pytest.MonkeyPatch) -> models.Model:
    """A row of the table whose files lie on the local site."""
    files = tuple(
        models.WeightFile(name, len(body), hashlib.sha256(body).hexdigest(), site.address + name)
        for name, body in CONTENT.items()
    )
    row = replace(models.MODELS[DETECTOR], name="net", title="A net", files=files, layouts=("net/FP16", ""))
    monkeypatch.setitem(models.MODELS, "net", row)
    return row


def test_table_says_everything_about_every_model() -> None:
    for name, row in models.MODELS.items():
        assert row.name == name
        assert row.files and row.licence and row.credit and row.title
        assert row.stage in ("detect", "lift")
        for file in row.files:
            assert bool(file.address) == bool(file.size) == bool(file.sha256)
            if file.address:
                assert file.address.startswith("https://") and file.address.endswith("/" + file.name)
                assert len(file.sha256) == 64
    assert not models.MODELS["videopose3d"].commercial
    assert models.MODELS[DETECTOR].size == 8_197_356 + 153_702


def put(folder: Path, names: tuple[str, ...] = tuple(CONTENT)) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"anything")
    return folder


def test_named_folders_come_first_then_the_own_folder(
    net: models.Model, own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert models.find("net") is None
    own = put(own_home / "models/net/FP16")
    assert models.find("net") == own / "net.xml"
    first, second = tmp_path / "first ü", tmp_path / "second"
    monkeypatch.setenv(models.FOLDERS_VARIABLE, os.pathsep.join((str(first), str(second))))
    assert models.find("net") == own / "net.xml"
    put(second)
    assert models.find("net") == second / "net.xml"
    put(first / "net/FP16", ("net.xml",))
    assert models.find("net") == second / "net.xml", "a folder that lacks one of the files is no place for the model"
    put(first / "net/FP16")
    assert models.require("net") == first / "net/FP16/net.xml"


def test_layout_of_the_public_model_zoo_is_understood(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(models.FOLDERS_VARIABLE, str(shared / "models"))
    assert models.find(DETECTOR) == shared / "models" / DETECTOR / "FP16" / f"{DETECTOR}.xml"


def test_weights_inside_a_library_are_found_without_importing_it() -> None:
    if importlib.util.find_spec("mediapipe") is None:
        pytest.skip("needs the mediapipe package")
    path = models.require("mediapipe-pose")
    assert path.name == "pose_landmark_full.tflite"


def test_missing_weights_say_how_to_get_them() -> None:
    with pytest.raises(UserError, match=f"vp3d models download {DETECTOR}"):
        models.require(DETECTOR)
    with pytest.raises(UserError, match=r"pretrained_h36m_detectron_coco\.bin"):
        models.require("videopose3d")
    with pytest.raises(UserError, match="no weights called 'nonsense'"):
        models.find("nonsense")


def test_download_puts_checked_files_into_the_own_folder(net: models.Model, site: Site, own_home: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    path = models.download("net", lambda *step: seen.append(step))
    assert path == own_home / "models/net/FP16/net.xml" == models.find("net")
    for name, body in CONTENT.items():
        assert path.with_name(name).read_bytes() == body
    assert seen[-1] == ("download", net.size, net.size)
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    asked = len(site.asked)
    models.download("net")
    assert len(site.asked) == asked, "what is there is not downloaded again"


def stop_after(limit: int) -> Callable[[str, int, int], None]:
    def progress(stage: str, done: int, total: int) -> None:
        if done >= limit:
            raise Cancelled

    return progress


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cancelled_download_goes_on_where_it_stopped(
    ranges: bool, net: models.Model, site: Site, own_home: Path
) -> None:
    site.ranges = ranges
    with pytest.raises(Cancelled):
        models.download("net", stop_after(len(CONTENT["net.xml"]) + 150_000))
    part = own_home / "models/net/FP16/net.bin.part"
    have = part.stat().st_size
    assert 0 < have < len(CONTENT["net.bin"])
    assert models.find("net") is None
    path = models.download("net")
    assert site.asked[-1] == f"bytes={have}-"
    assert path.with_name("net.bin").read_bytes() == CONTENT["net.bin"]
    assert not part.exists()


def test_a_broken_connection_is_told_and_resumed(net: models.Model, site: Site) -> None:
    site.cut_after = 100_000
    with pytest.raises(UserError, match=r"net\.bin could not be downloaded"):
        models.download("net")
    site.cut_after = None
    assert models.download("net").with_name("net.bin").read_bytes() == CONTENT["net.bin"]


def test_a_changed_file_is_refused_and_not_kept(net: models.Model, site: Site, own_home: Path) -> None:
    site.content["net.bin"] = b"x" * len(CONTENT["net.bin"])
    with pytest.raises(UserError, match="not the official file"):
        models.download("net")
    assert models.find("net") is None
    assert [path.name for path in (own_home / "models/net/FP16").iterdir()] == ["net.xml"]


def test_no_server_no_file_and_nothing_to_download(
    net: models.Model, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    del site.content["net.xml"]
    with pytest.raises(UserError, match="Not Found"):
        models.download("net")
    gone = replace(net, files=tuple(replace(file, address="http://127.0.0.1:9/" + file.name) for file in net.files))
    monkeypatch.setitem(models.MODELS, "net", gone)
    with pytest.raises(UserError, match="Check the connection"):
        models.download("net")
    with pytest.raises(UserError, match="has no download"):
        models.download("videopose3d")


def test_a_folder_that_cannot_be_written_is_named(net: models.Model, own_home: Path) -> None:
    own_home.mkdir()
    (own_home / "models").write_text("a file where the folder should be")
    with pytest.raises(UserError, match="could not be written"):
        models.download("net")


def test_a_full_disk_is_told(net: models.Model, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    folder = own_home / "models/net/FP16"
    folder.mkdir(parents=True)
    (folder / "net.xml.part").symlink_to("/dev/full")
    with pytest.raises(UserError, match=os.strerror(errno.ENOSPC)):
        models.download("net")
