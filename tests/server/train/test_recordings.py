import re
import zipfile

import numpy as np
import pytest
from takes import walker
from vp3d.common import take as takes
from vp3d.errors import UserError
from vp3d.train.bodies import MIXAMO
from vp3d.train.recording import Recording, resample
from vp3d.train.recordings import minutes, read_recordings, split

LIMBS = (
    ("Thigh", "hip", (9, 0, 0)),
    ("Shin", "Thigh", (0, -40, 0)),
    ("Foot", "Shin", (0, -42, 0)),
    ("Shldr", "chest", (16, 18, 0)),
    ("ForeArm", "Shldr", (28, 0, 0)),
    ("Hand", "ForeArm", (24, 0, 0)),
)
JOINTS: dict[str, tuple[str | None, tuple[int, int, int]]] = {
    "hip": (None, (0, 0, 0)),
    "chest": ("hip", (0, 32, 0)),
    "head": ("chest", (0, 30, 0)),
}
for side, sign in (("l", 1), ("r", -1)):
    for joint, parent, (x, y, z) in LIMBS:
        JOINTS[side + joint] = (parent if parent.islower() else side + parent, (sign * x, y, z))


def small_bvh(frames: int = 90) -> str:
    """A BVH file with the joints that training looks for, its hip walking along Z."""

    def joint(name: str) -> str:
        parent, offset = JOINTS[name]
        children = "".join(joint(child) for child, (above, _) in JOINTS.items() if above == name)
        kind = "JOINT" if parent else "ROOT"
        channels = (
            "3 Zrotation Xrotation Yrotation"
            if parent
            else ("6 Xposition Yposition Zposition Zrotation Xrotation Yrotation")
        )
        return (
            f"{kind} {name}\n{{\nOFFSET {' '.join(map(str, offset))}\nCHANNELS {channels}\n"
            f"{children or 'End Site { OFFSET 0 1 0 }'}\n}}\n"
        )

    swing = 20 * np.sin(np.arange(frames) / 10)
    rows = np.zeros((frames, 3 + 3 * len(JOINTS)))
    rows[:, 1], rows[:, 2] = 90, np.arange(frames)
    rows[:, 10::3] = swing[:, None]
    text = "\n".join(" ".join(f"{value:.4f}" for value in row) for row in rows)
    return f"HIERARCHY\n{joint('hip')}MOTION\nFrames: {frames}\nFrame Time: 0.00833333\n{text}\n"


@pytest.fixture
def folder(tmp_path):
    for name in ("salsa/01.bvh", "salsa/16.bvh", "martial/05.bvh"):
        path = tmp_path / "motion" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(small_bvh())
    (tmp_path / "motion/martial/06.bvh").write_text("damaged")
    (tmp_path / "motion/readme.txt").write_text("not motion")
    return tmp_path / "motion"


def test_folders_and_archives_read_alike(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "motion.zip", "w") as archive:
        for file in folder.rglob("*.*"):
            archive.write(file, file.relative_to(folder))
    from_folder, from_archive = read_recordings([folder]), read_recordings([tmp_path / "motion.zip"])
    assert [recording.name for recording in from_folder] == ["martial/05.bvh", "salsa/01.bvh", "salsa/16.bvh"]
    assert [recording.name for recording in from_archive] == [recording.name for recording in from_folder]
    assert all(np.array_equal(a.points, b.points) for a, b in zip(from_folder, from_archive, strict=True))


def test_true_frame_rates_and_takes(folder):
    martial, salsa, partner = read_recordings([folder])
    # 78 frames remain; martial arts were recorded at 120 Hz, salsa at 60 whatever its header says.
    assert len(martial.points) == 39
    assert len(salsa.points) == 78
    assert salsa.take == partner.take != martial.take
    assert minutes([martial, salsa]) == pytest.approx((39 + 78) / 3600)


def test_places_without_motion_say_so(tmp_path):
    with pytest.raises(UserError, match="motion capture"):
        read_recordings([tmp_path])
    with pytest.raises(UserError, match="neither"):
        read_recordings([tmp_path / "absent.zip"])


def test_resampling_a_line_keeps_it():
    line = np.linspace(0, 1, 121)[:, None] * np.ones((1, 3))
    assert resample(line, 120, 60) == pytest.approx(line[::2])
    assert resample(line[:61], 50, 60)[:, 0] == pytest.approx(np.arange(73) / 60 * 50 / 120)
    assert len(resample(line, 24, 60)) == 301


def test_split_keeps_takes_together_and_repeats():
    recordings = [Recording(f"{i}.bvh", f"take-{i // 2}", np.zeros((1, 22, 3), np.float32)) for i in range(40)]
    seen, held = split(recordings, 0.2, seed=5)
    assert len(held) == 8
    assert {recording.take for recording in seen}.isdisjoint(recording.take for recording in held)
    assert split(recordings, 0.2, seed=5)[1] == held
    assert split(recordings, 0.2, seed=6)[1] != held


def test_mixamo_skeletons_are_known_and_their_rate_is_believed(tmp_path):
    names = {"hip": "mixamorig:Hips", "chest": "mixamorig:Spine2", "head": "mixamorig:Head"}
    parts = dict(zip(("Thigh", "Shin", "Foot", "Shldr", "ForeArm", "Hand"), MIXAMO["left"], strict=True))
    names |= {f"l{part}": name for part, name in parts.items()}
    names |= {f"r{part}": name.replace("Left", "Right") for part, name in parts.items()}
    text = small_bvh(90).replace("0.00833333", "0.03333333")
    words = [names.get(word, word) for word in re.split(r"(\s)", text)]
    file = tmp_path / "wave.bvh"
    file.write_text("".join(words))
    (recording,) = read_recordings([file])
    assert recording.take == "wave"
    assert len(recording.points) == pytest.approx(179, abs=1)


def test_takes_are_motion_too(tmp_path):
    corrected = walker(people=2)
    corrected.joints3d[1, 20:25] = np.nan
    takes.save(corrected, tmp_path / "corrected.vp3d")
    recordings = read_recordings([tmp_path / "corrected.vp3d"])
    assert [recording.take for recording in recordings] == ["corrected-1", "corrected-2", "corrected-2"]
    assert [len(recording.points) for recording in recordings] == [142, 46, 82]
    assert recordings[0].points[0, :17] == pytest.approx(corrected.joints3d[0, 0], abs=1e-5)
    assert recordings[2].points[0, :17] == pytest.approx(corrected.joints3d[1, 25], abs=1e-5)


def test_named_takes_and_performers_are_held_out():
    recordings = [
        Recording(f"{take}.bvh", take, np.zeros((10, 22, 3), np.float32))
        for take in ("001-01", "001-02", "002-01", "salsa-01")
    ]
    train, held = split(recordings, 0.5, 1, ("001", "salsa-01"))
    assert {each.take for each in held} == {"001-01", "001-02", "salsa-01"}
    assert {each.take for each in train} == {"002-01"}
    with pytest.raises(UserError, match="005"):
        split(recordings, 0.5, 1, ("005",))
