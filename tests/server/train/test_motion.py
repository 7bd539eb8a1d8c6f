import numpy as np
import pytest
from vp3d.errors import UserError
from vp3d.train.motion import CMU_UNIT, read_amc, read_bvh

BVH = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Knee
  {
    OFFSET 0 -2 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    JOINT Ankle
    {
      OFFSET 0 -3 0
      CHANNELS 3 Zrotation Xrotation Yrotation
      End Site
      {
        OFFSET 0 0 1
      }
    }
  }
  JOINT Chest
  {
    OFFSET 0 4 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 1 0
    }
  }
}
MOTION
Frames: 3
Frame Time: 0.033333
0 10 0  0 0 0    0 0 0  0 0 0  0 0 0
1 10 2  0 0 90   0 0 0  0 0 0  0 0 0
0 10 0  90 0 0   0 90 0  0 0 0  0 0 0
"""

ASF = """:version 1.10
:name TEST
:units
  length 0.45
:root
   order TX TY TZ RX RY RZ
:bonedata
  begin
     id 2
     name shin
     direction 0 -1 0
     length 3
     axis 0 0 0 XYZ
     dof rx
  end
  begin
     id 1
     name thigh
     direction 0 -1 0
     length 2
     axis 0 0 90 XYZ
     dof rx rz
     limits (-10 10)
            (-10 10)
  end
:hierarchy
  begin
    root thigh
    thigh shin
  end
"""

AMC = """:FULLY-SPECIFIED
:DEGREES
1
root 0 10 0 0 0 0
thigh 0 0
shin 0
2
root 0 10 0 0 0 0
thigh 0 0
shin 90
3
root 0 10 0 0 0 0
thigh 90 0
shin 0
"""


def test_bvh_forward_kinematics():
    motion = read_bvh(BVH)
    assert motion.joints == ("Hips", "Knee", "Ankle", "Chest")
    assert motion.positions[0] == pytest.approx(np.array([[0, 10, 0], [0, 8, 0], [0, 5, 0], [0, 14, 0]]))
    assert motion.positions[1, 2] == pytest.approx([1, 5, 2])
    # A quarter turn about Z takes down to +X; the knee then bends about the turned X axis.
    assert motion.positions[2, 1] == pytest.approx([2, 10, 0])
    assert motion.positions[2, 2] == pytest.approx([2, 10, -3])
    assert motion.positions[2, 3] == pytest.approx([-4, 10, 0])
    assert motion.rotations @ motion.rotations.swapaxes(-1, -2) == pytest.approx(
        np.broadcast_to(np.eye(3), (3, 4, 3, 3))
    )


@pytest.mark.parametrize("text", ["", "hello", BVH[:300], BVH[:-20], BVH.replace("Frames: 3", "Frames: 9")])
def test_damaged_bvh_says_so(text):
    with pytest.raises(UserError, match=r"walk\.bvh"):
        read_bvh(text, "walk.bvh")


def test_amc_forward_kinematics():
    motion = read_amc(ASF, AMC)
    assert motion.joints == ("root", "thigh", "shin")
    assert motion.positions[0] == pytest.approx(np.array([[0, 10, 0], [0, 8, 0], [0, 5, 0]]))
    # A knee turned about X sends the shin to -Z.
    assert motion.positions[1, 2] == pytest.approx([0, 8, -3])
    # The thigh's own X axis is the world's Y, about which a hanging leg only spins.
    assert motion.positions[2] == pytest.approx(motion.positions[0])


@pytest.mark.parametrize(
    ("asf", "amc"), [("", AMC), (ASF, ""), (ASF, AMC.replace("shin 90", "")), (ASF.replace("root thigh", ""), AMC)]
)
def test_damaged_amc_says_so(asf, amc):
    with pytest.raises(UserError, match=r"walk\.amc"):
        read_amc(asf, amc, "walk.amc")


def test_cmu_unit_makes_people_of_human_size(shared):
    import zipfile

    with zipfile.ZipFile(shared / "mocap/cmu-asfamc.zip") as archive:
        folder = "cmu-asfamc/asfamc/subjects/02/"
        motion = read_amc(archive.read(folder + "02.asf").decode(), archive.read(folder + "02_01.amc").decode())
    height = motion.positions[:, motion.index("head"), 1] - motion.positions[..., 1].min(1)
    assert 1.5 < np.median(height) * CMU_UNIT < 1.8
