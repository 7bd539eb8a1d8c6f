import pytest
from vp3d.devices import choose_device
from vp3d.errors import UserError


def test_a_device_that_is_not_there_is_refused() -> None:
    assert choose_device("cpu") == "cpu"
    assert choose_device() in ("cpu", "cuda", "mps")
    with pytest.raises(UserError, match="toaster"):
        choose_device("toaster")
