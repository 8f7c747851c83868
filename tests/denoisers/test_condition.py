import torch

from equipoise.denoisers.condition import ConditionLayout


def test_parts_come_out_as_they_went_in_in_any_cut_of_the_batch():
    generator = torch.Generator().manual_seed(0)
    parts = {
        "text": torch.randn(3, 5, 2, generator=generator),
        "pooled": torch.randn(3, 4, generator=generator),
        "size": torch.tensor([[512, 768]]).expand(3, -1),
    }
    layout = ConditionLayout.of(parts)
    packed = layout.pack(parts)
    assert packed.shape == (3, 5 * 2 + 4 + 2)
    joined = torch.cat([packed[2:], packed[:2]])
    for name, part in layout.unpack(joined).items():
        assert torch.equal(part, parts[name].to(packed)[[2, 0, 1]])


def test_the_first_part_names_the_type():
    parts = {"text": torch.zeros(1, 2, dtype=torch.bfloat16), "size": torch.tensor([[7, 9]])}
    layout = ConditionLayout.of(parts)
    assert layout.pack(parts).dtype == torch.bfloat16
    assert list(layout.unpack(layout.pack(parts))) == ["text", "size"]
