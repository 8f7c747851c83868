import json

import pytest
import torch

from equipoise.checkpoints.snapshot import read_snapshot
from equipoise.denoisers import fingerprint
from equipoise.denoisers.safe_folder import load_safe_folder, save_dit, save_edm
from equipoise.denoisers.snapshot import build_from_snapshot, read_parts
from equipoise.errors import BadInputError, UnsafeFileError

from .edm_cases import PRECONDITIONINGS, build_case
from .test_peebles import build

CASES = [(name, column) for name in ("ddpm++", "adm with classes") for column in PRECONDITIONINGS]


@pytest.mark.parametrize(("name", "column"), CASES)
def test_a_snapshot_comes_back_with_its_answers(name, column, tmp_path):
    _, _, data = build_case(name, column)
    snapshot = read_snapshot(memoryview(data))
    expected = build_from_snapshot(snapshot)
    save_edm(read_parts(snapshot), tmp_path)
    found = load_safe_folder(tmp_path)
    assert fingerprint(found) == fingerprint(expected)
    x = torch.randn(2, *expected.sample_shape, generator=torch.Generator().manual_seed(0))
    sigma = torch.tensor([expected.snap(0.1), expected.snap(3.0)])
    assert torch.equal(found.denoise(x, sigma), expected.denoise(x, sigma))
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}


def test_a_dit_comes_back_with_its_heads(tmp_path):
    network = build()
    save_dit(network.state_dict(), tmp_path, heads=3)
    model = load_safe_folder(tmp_path)
    assert model.network.spec.heads == 3
    assert all(
        torch.equal(tensor, network.state_dict()[name])
        for name, tensor in model.network.state_dict().items()
    )


def test_a_damaged_or_later_folder_is_refused(tmp_path):
    save_dit(build().state_dict(), tmp_path, heads=3)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-50])
    with pytest.raises(UnsafeFileError, match="damaged"):
        load_safe_folder(tmp_path)
    told = json.loads((tmp_path / "equipoise.json").read_text())
    (tmp_path / "equipoise.json").write_text(json.dumps(told | {"version": 2}))
    with pytest.raises(BadInputError, match="version 1"):
        load_safe_folder(tmp_path)
