import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from takes import walker
from vp3d import charts
from vp3d.common.take import Source, Take
from vp3d.report import write_report

EVIL = "<script>alert(1)</script>\"'&.mp4"


class Page(HTMLParser):
    """Checks that elements nest, and collects tags, attributes and text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta" and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open[-1:] == [tag]:
            self.open.pop()
        else:
            assert self.get_starttag_text().endswith("/>"), f"</{tag}> closes {self.open}"

    def handle_data(self, data):
        self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture
def take() -> Take:
    take = walker(frames=40, people=2, video="/somewhere/clip.mp4")
    take.settings = {"people": "all", "start": 0, "focal_px": None}
    take.report = {
        "version": "0.1.0",
        "people_found": 3,
        "detector": {
            "name": "mediapipe",
            "description": "MediaPipe; the other would give more.",
            "licence": "Apache-2.0",
        },
        "lifter": {"name": "videopose3d", "licence": "CC BY-NC 4.0", "commercial": False},
        "lens": {"source": "prior", "note": "The lens is a guess.", "focal_sigma": 0.25},
        "solve": {
            "lens": {"focal_sigma_relative": 0.12},
            "camera": {"height_m": 1.4, "pitch_deg": -6.0, "roll_deg": 0.5},
        },
        "timings": {
            "detect": {"seconds": 8.0, "frames": 40, "cached": False},
            "lift": {"seconds": 2.0, "frames": 40, "cached": False},
        },
        "warnings": ["Mind the gap."],
    }
    return take


def report(take: Take, tmp_path: Path, truth: dict | None = None) -> Page:
    write_report(take, tmp_path / "new" / "report.html", truth)
    return Page(tmp_path / "new" / "report.html")


def test_says_what_was_found(take, tmp_path):
    take.residual_px[0], take.residual_px[1] = 3.0, 8.0
    take.residual_px[0, :, 0] = 500.0
    take.confidence[0, :, 0] = 0.1  # too unsure to be compared
    take.source[1, :10] = Source.INTERPOLATED
    words = report(take, tmp_path).words
    for said in (
        "clip.mp4", "1280 × 720 px", "2 of 3", "4.0 frames per second", "Mind the gap.", "the other would give more.",
        "CC BY-NC 4.0, not for commercial work", "D. Pavllo et al. 2019", "BlazePose", "1100 px, to about ± 12%",
        "The lens is a guess.", "60° across", "1.40 m", "−6.0 °", "Find joints 8.0 s 5.0", "stands still",
        "Person 1 40 (100%) 0.84 0% 3.0 px 3.0 px", "Person 2 40 (100%) 0.90 25% 8.0 px 8.0 px",
    ):  # fmt: skip
        assert said in words, said
    assert "focal px" not in words


def test_says_how_sure_the_solve_is(take, tmp_path):
    take.report["solve"] = {
        "lens": {"focal_sigma_relative": 0.07},
        "camera": {"pitch_deg": -12.0, "roll_deg": 1.0, "tilt_sigma_deg": [0.8, 1.1], "gravity_from": ["background"]},
        "people": [{"person": 2, "depth_sigma_relative": 0.11}],
    }
    take.residual_px[:] = 3.0
    take.residual_px[1, :20, 5] = 9.0
    write_report(take, tmp_path / "r.html")
    words = Page(tmp_path / "r.html").words
    for said in ("to about ± 7%", "−12.0 ° ± 1.1°", "+1.0 ° ± 0.8°", "straight edges of the background",
                 "Distance of person 2 to about ± 11%", "left shoulder 3.0 px (3.0) 6.0 px (9.0)"):  # fmt: skip
        assert said in words, said
    assert "left eye 3.0" not in words, "was not seen"


def test_everything_is_escaped(take, tmp_path):
    hostile = {
        key: {"name": EVIL, "description": EVIL, "licence": EVIL, "note": EVIL}
        for key in ("detector", "lifter", "lens")
    }
    take.video["name"] = EVIL
    take.settings = {EVIL: EVIL}
    take.report.update(hostile, version=EVIL, warnings=[EVIL])
    take.report["timings"] = {EVIL: {"seconds": 1.0, "frames": 1, "cached": False}}
    page = report(take, tmp_path)
    assert "script" not in page.tags and "<script" not in page.source
    assert page.words.count(EVIL) >= 8


def test_needs_nothing_but_itself(take, tmp_path):
    page = report(take, tmp_path)
    assert not page.attributes & {"src", "href", "srcset", "onload", "onclick"}
    assert not re.search(r"https?:|url\(|@import|<link", page.source)
    assert "default-src 'none'" in page.source
    assert len(page.source) < 200_000


def test_a_take_with_nobody_and_no_report(tmp_path):
    take = walker(frames=5, people=1)
    empty = replace(
        take,
        person_ids=take.person_ids[:0],
        **{
            name: getattr(take, name)[:0]
            for name in ("joints2d", "confidence", "source", "joints3d", "contacts", "residual_px")
        },
        video={},
    )
    assert "0 of 0" in report(empty, tmp_path).words
    take.residual_px[:], take.joints3d[:], take.joints2d[:], take.confidence[:] = np.nan, np.nan, np.nan, 0
    assert "Person 1 0 (0%) – 0% – –" in report(take, tmp_path).words


def test_says_how_far_off_it_is(take, tmp_path):
    truth = {
        "frames": take.frames.tolist(),
        "joint_names": ["left_wrist", "left_hip", "right_hip"],
        "joints2d": (take.joints2d[:, :, [9, 11, 12]] + [6, 8]).tolist(),
        "joints3d": take.joints3d[:, :, [13, 4, 1]].tolist(),
        "camera_K": (take.camera_K / 1.25).tolist(),
        "camera_R": take.camera_R.tolist(),
        "camera_t": take.camera_t.tolist(),
    }
    words = report(take, tmp_path, truth).words
    assert "2D joints 10.0 px 10.0 px" in words and "Focal length +25.0 % +25.0 %" in words


def test_lines_break_where_nothing_is_known():
    x = np.arange(100)
    values = np.ones(100)
    values[30:40] = values[60] = np.nan
    svg = charts.line_chart(x, {"a": values, "b": values * 2}, "frame", "px")
    first, second = re.findall(r'class="line"[^>]* d="([^"]*)"', svg)
    assert first.count("M") == 3 and first.count("L") == 89 - 3
    height = [float(re.match(r"M[\d.]+ ([\d.]+)", path)[1]) for path in (first, second)]
    base = charts.HEIGHT - 30
    assert base - height[1] == pytest.approx(2 * (base - height[0]), abs=0.2)
    assert charts.line_chart(x, {"a": np.full(100, np.nan)}, "frame", "px") == ""


def test_long_takes_are_thinned_to_medians():
    values = np.where(np.arange(20000) % 50 == 0, 100.0, 5.0)
    svg = charts.line_chart(np.arange(20000), {"a": values}, "frame", "px")
    path = re.search(r'class="line"[^>]* d="([^"]*)"', svg)[1]
    heights = {float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path)}
    assert len(re.findall("[ML]", path)) == 400 and len(heights) == 1


def test_bars_are_as_long_as_values():
    svg = charts.bar_chart(["x", "<y>"], {"a": np.array([0.25, 1.0])})
    lengths = [float(w) for w in re.findall(r'<rect style[^>]*width="([\d.]+)"', svg)]
    assert lengths[1] == pytest.approx(4 * lengths[0], rel=1e-2) and "&lt;y&gt;" in svg
