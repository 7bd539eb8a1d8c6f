import json

import numpy as np
import pytest
from vp3d.common.skeletons import BODY_21, COCO_17, COCO_23
from vp3d.data import records


def line(instant: int) -> str:
    return json.dumps({"instant": instant, "images": [{"id": instant}], "annotations": [{"id": 8 * instant}]}) + "\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "records").mkdir()
    (tmp_path / "records/0.jsonl").write_text(line(4) + line(0) + line(2))
    (tmp_path / "records/1.jsonl").write_text(line(1) + line(3)[:17])  # killed in the middle of a line
    return tmp_path


def test_a_cut_line_does_not_count_and_is_replaced(folder):
    assert records.done_instants(folder) == {0, 1, 2, 4} and records.count_records(folder) == 4
    with records.open_records(folder, 1) as file:
        file.write(line(3))
    assert records.done_instants(folder) == {0, 1, 2, 3, 4}


def test_merged_in_order_and_each_once(folder):
    with records.open_records(folder, 2) as file:
        file.write(line(2))
    merged = records.merge(folder)
    assert [image["id"] for image in merged["images"]] == [0, 1, 2, 4]
    assert [annotation["id"] for annotation in merged["annotations"]] == [0, 8, 16, 32]
    assert merged["categories"][0]["keypoints"][:17] == list(COCO_17.joints)


def test_feet_are_named_as_in_coco_wholebody():
    assert COCO_23.joints[17:] == (
        "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel",
    )  # fmt: skip
    assert COCO_23.joints[:17] == BODY_21.joints[:17]


@pytest.mark.parametrize("seed", range(5))
def test_run_lengths_give_the_mask_back(seed):
    mask = np.random.default_rng(seed).random((7, 5)) < 0.5
    coded = records.rle(mask)
    decoded = np.repeat(np.arange(len(coded["counts"])) % 2, coded["counts"]).reshape(5, 7).T
    assert coded["size"] == [7, 5] and (decoded == mask).all()


def test_run_lengths_of_all_and_nothing():
    assert records.rle(np.zeros((3, 2), bool))["counts"] == [6]
    assert records.rle(np.ones((3, 2), bool))["counts"] == [0, 6]
