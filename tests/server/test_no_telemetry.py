def test_openvino_tells_nobody():
    import vp3d.detect.runtime  # noqa: F401
    from openvino.tools.ovc import convert_impl, telemetry_utils

    for module in (convert_impl, telemetry_utils):
        assert module.tm.__name__ == "openvino.tools.ovc.telemetry_stub"
