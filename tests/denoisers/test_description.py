from equipoise.denoisers.description import describe

from .edm_cases import build_case


def test_one_line_says_what_it_is(tiny_edm):
    from equipoise.checkpoints.snapshot import read_snapshot
    from equipoise.denoisers.snapshot import build_from_snapshot

    line = describe(tiny_edm)
    assert line.startswith("EdmDenoiser around UNet, 0.2 M numbers in float32")
    assert line.endswith("samples 1 x 16 x 16, pictures 1 x 16 x 16, no condition")
    model = build_from_snapshot(
        read_snapshot(memoryview(build_case("adm with classes", "iDDPMPrecond")[2]))
    )
    line = describe(model)
    assert "PreconditionedDenoiser (IddpmPreconditioning) around DhariwalUNet" in line
    assert line.endswith("with a condition")
    assert "\n" not in line
