"""The weights that stages use, as data: what they are, where they lie, who made them and what their licence allows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class WeightFile:
    """One file of a model.

    Attributes:
        name: file name.
        size: bytes; 0 where we neither download the file nor ship one fixed release of it.
        sha256: of the official file, empty where `size` is 0.
        address: official place to download it from, empty where it is never downloaded.
    """

    name: str
    size: int = 0
    sha256: str = ""
    address: str = ""


@dataclass(frozen=True)
class Model:
    """One set of weights.

    Attributes:
        name: what `find` and the command line call it.
        title: what people call it.
        stage: the stage that uses it.
        purpose: what it is for, in a few words for the user.
        files: its files; the first one is the path that `find` returns, the others lie beside it.
        licence: of the weights.
        commercial: whether commercial work may use them.
        credit: line to show wherever they are used.
        layouts: sub-folders of a models folder in which the files may lie, in the order tried.
        package: import name of the library that carries them, empty where none does.
        page: where people get the files by hand, empty where no official place has them.
    """

    name: str
    title: str
    stage: str
    purpose: str
    files: tuple[WeightFile, ...]
    licence: str
    commercial: bool
    credit: str
    layouts: tuple[str, ...] = ("",)
    package: str = ""
    page: str = ""

    @property
    def size(self) -> int:
        """Bytes to download; 0 where the model cannot be downloaded."""
        return sum(file.size for file in self.files if file.address)


_OPEN_MODEL_ZOO = (
    "https://storage.openvinotoolkit.org/repositories/open_model_zoo/2021.4/models_bin/3/human-pose-estimation-0001/"
)

MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        Model(
            name="human-pose-estimation-0001",
            title="Lightweight OpenPose",
            stage="detect",
            purpose="Finds the joints of any number of people",
            files=(
                WeightFile(
                    "human-pose-estimation-0001.xml",
                    153_702,
                    "560880b45f2e58f1f4d5388000e0364c30199ef656a1b2fd07cd4cdb7b53561c",
                    _OPEN_MODEL_ZOO + "FP16/human-pose-estimation-0001.xml",
                ),
                WeightFile(
                    "human-pose-estimation-0001.bin",
                    8_197_356,
                    "40dfef77d8216f23b83d86d8915659e3ade89abadbb9173bc9b946cffb6c1c9e",
                    _OPEN_MODEL_ZOO + "FP16/human-pose-estimation-0001.bin",
                ),
            ),
            licence="Apache-2.0",
            commercial=True,
            credit="human-pose-estimation-0001, Open Model Zoo, Intel (Lightweight OpenPose, D. Osokin 2018)",
            layouts=("human-pose-estimation-0001/FP16", "human-pose-estimation-0001", "FP16", ""),
        ),
        Model(
            name="human-pose-estimation-0001-int8",
            title="8-bit Lightweight OpenPose",
            stage="detect",
            purpose="Finds the joints of any number of people, faster on many processors",
            files=(
                WeightFile(
                    "human-pose-estimation-0001.xml",
                    437_873,
                    "2ea05c99126a7536622828586837dcde962a12dc8b427c0a847876ce9b2f2506",
                    _OPEN_MODEL_ZOO + "FP16-INT8/human-pose-estimation-0001.xml",
                ),
                WeightFile(
                    "human-pose-estimation-0001.bin",
                    4_170_174,
                    "47ae11b12bf8ce8c27f20cf902c9b665aae25a44513787d36a9a755fccdd2a47",
                    _OPEN_MODEL_ZOO + "FP16-INT8/human-pose-estimation-0001.bin",
                ),
            ),
            licence="Apache-2.0",
            commercial=True,
            credit="human-pose-estimation-0001, Open Model Zoo, Intel (Lightweight OpenPose, D. Osokin 2018)",
            layouts=("human-pose-estimation-0001/FP16-INT8", "FP16-INT8"),
        ),
        Model(
            name="mediapipe-pose",
            title="MediaPipe Pose",
            stage="detect",
            purpose="Finds the joints of one person",
            files=(WeightFile("modules/pose_landmark/pose_landmark_full.tflite"),),
            licence="Apache-2.0",
            commercial=True,
            credit="MediaPipe Pose, Google (BlazePose full, V. Bazarevsky et al. 2020)",
            package="mediapipe",
        ),
        Model(
            name="detector",
            title="VP3D detector",
            stage="detect",
            purpose="Finds the joints of any number of people, heels and toes included",
            files=(WeightFile("detector.safetensors"),),
            licence="GPL-3.0-or-later",
            commercial=True,
            credit="VP3D detector, trained by `vp3d train detector`",
            layouts=("detector", ""),
        ),
        Model(
            name="keypoint-rcnn-detectron2",
            title="detectron2 Keypoint R-CNN",
            stage="detect",
            purpose="Finds joints person by person, slow, with detectron2",
            files=(WeightFile("model_final_a6e10b.pkl"),),
            licence="Apache-2.0",
            commercial=True,
            credit="Keypoint R-CNN R50-FPN 3x, detectron2 model zoo (137849621), Facebook AI Research (He et al. 2017)",
            layouts=("keypoint-rcnn", ""),
            page="https://dl.fbaipublicfiles.com/detectron2/COCO-Keypoints/keypoint_rcnn_R_50_FPN_3x/137849621/model_final_a6e10b.pkl",
        ),
        Model(
            name="keypoint-rcnn-torchvision",
            title="torchvision Keypoint R-CNN",
            stage="detect",
            purpose="Finds joints person by person, slow",
            files=(
                WeightFile(
                    "keypointrcnn_resnet50_fpn_coco-fc266e95.pth",
                    237_034_793,
                    "fc266e953d2b302cdcbb9ae66f71f6b0d4649928bf02dc573961e361e4918926",
                    "https://download.pytorch.org/models/keypointrcnn_resnet50_fpn_coco-fc266e95.pth",
                ),
            ),
            licence="BSD-3-Clause",
            commercial=True,
            credit="Keypoint R-CNN R50-FPN, torchvision, PyTorch (He et al. 2017)",
            layouts=("keypoint-rcnn", ""),
        ),
        Model(
            name="lifter",
            title="VP3D lifter",
            stage="lift",
            purpose="Lifts joints to 3D",
            files=(WeightFile("lifter.safetensors"),),
            licence="GPL-3.0-or-later",
            commercial=True,
            credit="VP3D lifter, trained on motion from mocap.cs.cmu.edu (created with funding from NSF EIA-0196217)",
            layouts=("lifter", ""),
        ),
        Model(
            name="lifter-causal",
            title="VP3D lifter for live use",
            stage="lift",
            purpose="Lifts joints to 3D from the past alone",
            files=(WeightFile("lifter-causal.safetensors"),),
            licence="GPL-3.0-or-later",
            commercial=True,
            credit="VP3D lifter, trained on motion from mocap.cs.cmu.edu (created with funding from NSF EIA-0196217)",
            layouts=("lifter", ""),
        ),
        Model(
            name="videopose3d",
            title="VideoPose3D",
            stage="lift",
            purpose="Lifts joints to 3D, trained on Human3.6M",
            files=(WeightFile("pretrained_h36m_detectron_coco.bin"),),
            licence="CC BY-NC 4.0",
            commercial=False,
            credit="VideoPose3D of COCO joints, 243 frames, D. Pavllo et al. 2019, Facebook (trained on Human3.6M)",
            layouts=("videopose3d", "video-pose-3d", ""),
            page="https://dl.fbaipublicfiles.com/video-pose-3d/pretrained_h36m_detectron_coco.bin",
        ),
    )
}
