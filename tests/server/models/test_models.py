import errno
import hashlib
import importlib.util
import os
import socket
import sys
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
    moved: dict[str, str] = field(default_factory=dict)
    wrong_range: bool = False
    asked: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            here.asked.append(wanted)
            here.paths.append(self.path)
            if self.path in here.moved:
                self.send_response(302)
                self.send_header("Location", here.moved[self.path])
                self.end_headers()
                return
            body = here.content.get(self.path.rpartition("/")[2])
            if body is None:
                self.send_error(404)
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and here.ranges else 0
            if start > len(body):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start + here.wrong_range}-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            end = len(body) if here.cut_after is None else min(len(body), start + here.cut_after)
            self.wfile.write(body[start:end])
            if end < len(body):
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here = Site(f"http://127.0.0.1:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
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


@pytest.mark.parametrize("tenth", range(10))
def test_a_connection_cut_anywhere_is_told_and_resumed(
    tenth: int, net: models.Model, site: Site, own_home: Path
) -> None:
    """The server really closes its socket, at ten places of the larger file; then the rest alone is fetched."""
    body = CONTENT["net.bin"]
    models.download("net")
    (own_home / "models/net/FP16/net.bin").unlink()
    site.cut_after = len(body) * tenth // 10
    with pytest.raises(UserError, match=r"net\.bin could not be downloaded") as caught:
        models.download("net")
    assert "what has arrived is kept" in caught.value.hint
    assert models.find("net") is None
    site.cut_after = None
    assert models.download("net").with_name("net.bin").read_bytes() == body
    assert site.asked[-1] == (f"bytes={len(body) * tenth // 10}-" if tenth else None)


def test_a_part_that_was_whole_when_the_program_was_killed_is_not_fetched_again(
    net: models.Model, site: Site, own_home: Path
) -> None:
    folder = own_home / "models/net/FP16"
    folder.mkdir(parents=True)
    for name, body in CONTENT.items():
        (folder / f"{name}.part").write_bytes(body)
    models.download("net")
    assert models.find("net") and not site.asked


def test_a_part_of_something_else_does_not_stay_in_the_way(net: models.Model, site: Site, own_home: Path) -> None:
    folder = own_home / "models/net/FP16"
    folder.mkdir(parents=True)
    (folder / "net.xml.part").write_bytes(b"<html>")
    with pytest.raises(UserError, match="not the official file"):
        models.download("net")
    (folder / "net.bin.part").write_bytes(b"x" * 400_000)
    site.content["net.bin"] = b"short"
    with pytest.raises(UserError, match="Requested Range"):
        models.download("net")
    site.content["net.bin"] = CONTENT["net.bin"]
    site.wrong_range = True
    (folder / "net.bin.part").write_bytes(CONTENT["net.bin"][:100])
    with pytest.raises(UserError, match="another part than asked for"):
        models.download("net")
    site.wrong_range = False
    assert models.download("net").with_name("net.bin").read_bytes() == CONTENT["net.bin"]


def test_a_login_page_is_refused_before_anything_is_written(net: models.Model, site: Site, own_home: Path) -> None:
    site.content["net.xml"] = b"<html>Please log in</html>"
    with pytest.raises(UserError, match=r"another file than net\.xml: 26 bytes, not 6,000"):
        models.download("net")
    assert not list((own_home / "models/net/FP16").iterdir())


def test_redirections_are_followed_and_loops_end(net: models.Model, site: Site) -> None:
    site.moved = {"/net.xml": "/elsewhere/net.xml", "/net.bin": "/net.bin"}
    with pytest.raises(UserError, match=r"net\.bin could not be downloaded .*redirect"):
        models.download("net")
    site.moved["/net.bin"] = "file:///etc/passwd"
    with pytest.raises(UserError, match=r"net\.bin could not be downloaded"):
        models.download("net")
    del site.moved["/net.bin"]
    assert models.download("net").read_bytes() == CONTENT["net.xml"]
    assert "/elsewhere/net.xml" in site.paths


def test_proxies_of_the_environment_are_used(net: models.Model, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    far = replace(net, files=tuple(replace(file, address=f"http://far.invalid/{file.name}") for file in net.files))
    monkeypatch.setitem(models.MODELS, "net", far)
    monkeypatch.setenv("http_proxy", site.address)
    monkeypatch.setenv("no_proxy", "")
    assert models.download("net").read_bytes() == CONTENT["net.xml"]
    assert site.paths[0] == "http://far.invalid/net.xml"


def test_a_mirror_is_a_copy_of_a_models_folder(net: models.Model, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = replace(net, files=tuple(replace(file, address="http://127.0.0.1:9/" + file.name) for file in net.files))
    monkeypatch.setitem(models.MODELS, "net", gone)
    monkeypatch.setenv(models.MIRROR_VARIABLE, site.address + "copy/")
    models.download("net")
    assert site.paths == ["/copy/net/FP16/net.xml", "/copy/net/FP16/net.bin"]
    monkeypatch.setenv(models.MIRROR_VARIABLE, "file:///etc")
    models.remove("net")
    with pytest.raises(UserError, match="no address of a mirror"):
        models.download("net")


def test_a_silent_server_is_given_up(net: models.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["vp3d.models.download"], "_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        slow = replace(net, files=tuple(replace(file, address=address + file.name) for file in net.files))
        monkeypatch.setitem(models.MODELS, "net", slow)
        with pytest.raises(UserError, match="timed out"):
            models.download("net")


def test_a_changed_file_is_refused_and_not_kept(net: models.Model, site: Site, own_home: Path) -> None:
    site.content["net.bin"] = b"x" * len(CONTENT["net.bin"])
    with pytest.raises(UserError, match="not the official file"):
        models.download("net")
    assert models.find("net") is None
    assert [path.name for path in (own_home / "models/net/FP16").iterdir()] == ["net.xml"]
    assert models.status("net").state == "absent"


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


def official(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, body in CONTENT.items():
        (folder / name).write_bytes(body)
    return folder


@pytest.mark.parametrize("layout", ["elsewhere", "net/FP16"])
@pytest.mark.parametrize("kind", ["folder", "innermost folder", "file"])
def test_import_of_a_folder_and_of_a_file(
    layout: str, kind: str, net: models.Model, own_home: Path, tmp_path: Path
) -> None:
    folder = official(tmp_path / "stick ü" / layout)
    source = {"file": folder / "net.bin", "folder": tmp_path / "stick ü"}.get(kind, folder)
    if (layout, kind) == ("elsewhere", "folder"):
        with pytest.raises(UserError, match="does not hold"):
            models.bring(source)
        return
    assert models.bring(source) == ["net"]
    assert (own_home / "models/net/FP16/net.bin").read_bytes() == CONTENT["net.bin"]
    assert models.status("net", thorough=True).state == "here"
    assert models.bring(own_home / "models", "net") == ["net"], "it may import what is there already"
    assert sorted(path.name for path in (own_home / "models/net/FP16").iterdir()) == ["net.bin", "net.xml"]


def test_import_refuses_wrong_files_with_the_reason(net: models.Model, own_home: Path, tmp_path: Path) -> None:
    folder = official(tmp_path / "stick")
    (folder / "net.bin").write_bytes(CONTENT["net.bin"][:-5])
    with pytest.raises(UserError, match=r"net\.bin is cut short: it has 511,995 of 512,000 bytes"):
        models.bring(folder)
    (folder / "net.bin").write_bytes(CONTENT["net.bin"] + b"x")
    with pytest.raises(UserError, match=r"net\.bin is another file"):
        models.bring(folder)
    (folder / "net.bin").write_bytes(b"x" + CONTENT["net.bin"][1:])
    with pytest.raises(UserError, match=r"net\.bin is not the official file: its checksum differs"):
        models.bring(folder)
    (folder / "net.bin").unlink()
    for source, name in ((folder, ""), (folder / "net.xml", "net"), (tmp_path / "nothing", "")):
        with pytest.raises(UserError) as caught:
            models.bring(source, name)
        assert str(source) in caught.value.message and caught.value.hint
    assert not list(own_home.rglob("net.*")), "nothing half-done stays"


def test_import_reads_what_has_no_official_release(own_home: Path, tmp_path: Path) -> None:
    causal = models.BUNDLED / "lifter-causal.safetensors"
    with pytest.raises(UserError, match="another lifter, not one that looks both ways"):
        models.bring(causal, "lifter")
    with pytest.raises(UserError, match="holds no weights of a detector"):
        models.bring(causal, "detector")
    with pytest.raises(UserError, match="holds a lifter, but not VideoPose3D's"):
        models.bring(causal, "videopose3d")
    renamed = tmp_path / "my lifter (1).safetensors"
    renamed.write_bytes(causal.read_bytes())
    assert models.bring(renamed, "lifter-causal") == ["lifter-causal"]
    assert models.find("lifter-causal") == own_home / "models/lifter/lifter-causal.safetensors"
    renamed.write_bytes(causal.read_bytes()[:-1000])
    with pytest.raises(UserError, match="does not hold lifter weights"):
        models.bring(renamed, "lifter-causal")
    assert models.status("lifter-causal", thorough=True).state == "here", "the refused file replaced nothing"


def test_damage_is_found(net: models.Model, own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert models.status("net").state == "absent"
    folder = official(own_home / "models/net/FP16")
    assert models.status("net", thorough=True).state == "here"
    assert models.status("net").size == net.size
    (folder / "net.bin").write_bytes(b"x" + CONTENT["net.bin"][1:])
    assert models.status("net").state == "here", "only reading all of it shows this"
    assert models.status("net", thorough=True).state == "damaged"
    (folder / "net.bin").write_bytes(b"short")
    damaged = models.status("net")
    assert (damaged.state, damaged.origin) == ("damaged", "own") and "cut short" in damaged.note
    named = official(tmp_path / "named")
    (named / "net.xml").write_bytes(b"converted by the studio")
    monkeypatch.setenv(models.FOLDERS_VARIABLE, str(named))
    own = models.status("net", thorough=True)
    assert own.state == "here" and "used as it is" in own.note


def test_remove_takes_from_the_own_folder_only(net: models.Model, own_home: Path, tmp_path: Path) -> None:
    folder = official(own_home / "models/net/FP16")
    (folder / "net.bin.part").write_bytes(b"half")
    (own_home / "models/notes.txt").write_text("mine")
    assert len(models.remove("net")) == 3
    assert not folder.exists() and (own_home / "models/notes.txt").exists()
    with pytest.raises(UserError, match="does not hold"):
        models.remove("net")
    with pytest.raises(UserError, match="not ours to change"):
        models.remove("lifter")
    assert models.find("lifter") == models.BUNDLED / "lifter.safetensors"


def test_one_writer_at_a_time(net: models.Model, site: Site) -> None:
    def meanwhile(stage: str, done: int, total: int) -> None:
        with pytest.raises(UserError, match="Another program is changing the models folder"):
            models.download("net")

    models.download("net", meanwhile)
    assert models.find("net")
