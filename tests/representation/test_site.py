import copy
from dataclasses import replace

import jaxtyping
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from equipoise.denoisers import EdmDenoiser, GaussianDenoiser, UNet, wrap
from equipoise.errors import BadInputError, UnknownSiteError
from equipoise.representation import Site, capture, select_sites, sites

WORDS = {"sample_shape": (4,), "data_std": 1.0, "call": lambda module, x, sigma: module(x)}


def hooked_forward(denoiser):
    """Names, shapes and order of all tensors in one real forward, by plain hooks."""
    seen, handles = [], []
    for name, module in denoiser.network.named_modules():
        if name:
            handles += [
                module.register_forward_pre_hook(
                    lambda _, args, name=name: seen.append((f"{name}:in", args[0].shape[1:]))
                ),
                module.register_forward_hook(
                    lambda _, __, out, name=name: seen.append((f"{name}:out", out.shape[1:]))
                ),
            ]
    with torch.no_grad():
        denoiser.denoise(torch.zeros(2, *denoiser.sample_shape), torch.ones(2))
    for handle in handles:
        handle.remove()
    return [(name, tuple(shape)) for name, shape in seen]


def num_hooks(network):
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_with_kwargs")
    kinds += ("_forward_pre_hooks_with_kwargs", "_forward_hooks_always_called")
    return sum(len(getattr(m, kind)) for m in network.modules() for kind in kinds)


def test_sites_are_those_of_a_real_forward_in_its_order(tiny_edm):
    found = sites(tiny_edm)
    with_units = [(site.name, site.shape) for site in found if site.shape]
    assert with_units == [(name, shape) for name, shape in hooked_forward(tiny_edm) if shape]
    assert len(with_units) > 100
    assert {site.calls for site in found} == {1}
    kinds = {site.name: site.module for site in found}
    assert kinds["up_blocks.0.resnets.0.conv2:in"] == "Conv2d"
    assert kinds["mid_block:out"] == "MidBlock"


def test_listing_sites_computes_nothing():
    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(4, 4)
            self.kinds = []

        def forward(self, x):
            y = self.inner(x)
            self.kinds.append(type(y).__name__)
            return y

    spy = Spy()
    assert [site.name for site in sites(wrap(spy, **WORDS))] == ["inner:in", "inner:out"]
    assert spy.kinds == ["FakeTensor"]


def test_listing_sites_leaves_the_model_as_it_was():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
    before = copy.deepcopy(network.state_dict())
    generator = torch.get_rng_state()
    assert len(sites(wrap(network, **(WORDS | {"sample_shape": (1, 5, 5)})))) == 6
    assert network.training
    assert num_hooks(network) == 0
    assert all(torch.equal(before[name], w) for name, w in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator)


def test_hooks_come_off_when_the_forward_fails():
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(5, 4))
    with pytest.raises(RuntimeError):
        sites(wrap(network, **WORDS))
    assert num_hooks(network) == 0


def test_a_module_called_again_has_its_calls_counted():
    act = nn.ReLU()
    network = nn.Sequential(nn.Linear(4, 3), act, nn.Linear(3, 2), act, nn.Linear(2, 4))
    found = {site.name: site for site in sites(wrap(network, **WORDS))}
    # Products of 4 x 3, 3 x 2 and 2 x 4 numbers; a module is placed where it first fires.
    assert found["1:in"] == Site("1:in", "ReLU", (3,), 2, 12 / 26)
    assert "3:in" not in found
    assert found["2:out"].calls == 1


def test_the_share_is_what_a_forward_that_stops_there_costs(tiny_edm):
    name = "up_blocks.0.resnets.1.conv2:in"
    x, sigma = torch.zeros(1, *tiny_edm.sample_shape), torch.ones(1)
    spent = []
    for patterns in ([name], []):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            if patterns:
                with capture(tiny_edm, patterns):
                    tiny_edm.denoise(x, sigma)
            else:
                tiny_edm.denoise(x, sigma)
        spent.append(counter.get_total_flops())
    [share] = [site.share for site in sites(tiny_edm) if site.name == name]
    assert 0.1 < share < 0.9
    assert share == pytest.approx(spent[0] / spent[1])


def test_attention_is_counted_on_a_processor_too():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.mix, self.last = nn.Identity(), nn.Linear(8, 8, bias=False)

        def forward(self, x):
            heads = x[:, None]
            mixed = nn.functional.scaled_dot_product_attention(heads, heads, heads)
            return self.last(self.mix(mixed[:, 0]))

    model = wrap(
        Attention(),
        sample_shape=(5, 8),
        data_std=1.0,
        sites=("mix:out",),
        call=lambda module, x, sigma: module(x),
    )
    shares = {site.name: site.share for site in sites(model)}
    attention, last = 2 * (5 * 5 * 8), 5 * 8 * 8
    assert shares["mix:in"] == pytest.approx(attention / (attention + last))
    assert shares["last:out"] == 1


def test_tensors_in_tuples_mappings_and_keywords_are_found():
    class Pair(nn.Module):
        def forward(self, *, h):
            return None, h[:, :2]

    class Table(nn.Module):
        def forward(self, nothing, h):
            return {"note": "a word", "h": h[:, :1]}

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.pair, self.table, self.none = Pair(), Table(), nn.Identity()

        def forward(self, x):
            self.none("no tensor")
            return x * self.table(*self.pair(h=x))["h"]

    found = [(site.name, site.shape) for site in sites(wrap(Network(), **WORDS))]
    assert found == [
        ("pair:in", (4,)), ("pair:out", (2,)), ("table:in", (2,)), ("table:out", (1,)),
    ]  # fmt: skip


def test_shapes_follow_the_sample_shape_of_the_denoiser(tiny_edm):
    sites(tiny_edm)
    larger = replace(tiny_edm, sample_shape=(1, 32, 32))
    shapes = {site.name: site.shape for site in sites(larger)}
    assert shapes["conv_in:in"] == (4, 16, 16)


def test_a_layer_added_after_a_listing_is_found():
    network = nn.Sequential(nn.Linear(4, 4))
    assert len(sites(wrap(network, **WORDS))) == 2
    network.append(nn.Linear(4, 4))
    assert [site.name for site in sites(wrap(network, **WORDS))][2:] == ["1:in", "1:out"]


def test_the_compiler_has_no_part_in_names(tiny_edm):
    compiled = replace(tiny_edm, network=torch.compile(tiny_edm.network, backend="eager"))
    assert sites(compiled) == sites(tiny_edm)
    inner = UNet(1, patch=2, channels=(16, 32), depth=1)
    inner.mid_block = torch.compile(inner.mid_block, backend="eager")
    names = {site.name for site in sites(EdmDenoiser(inner, (1, 16, 16), 0.5))}
    assert names == {site.name for site in sites(tiny_edm)}


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["mid_block"], ["mid_block:out"]),
        (["conv_out:in", "conv_in"], ["conv_in:out", "conv_out:in"]),
        (["conv_in", "conv_*", "conv_in:out"], ["conv_in:out", "conv_out:out"]),
        (["*o*:in"], ["fold:in", "conv_in:in", "mid_block:in", "norm_out:in", "conv_out:in",
                      "unfold:in"]),
        (["up_blocks.*.resnets.0.conv2:in"],
         [f"up_blocks.{i}.resnets.0.conv2:in" for i in (0, 1)]),
        (["up_blocks.?"], ["up_blocks.0:out", "up_blocks.1:out"]),
        (["up_blocks.0.**.conv:in"], ["up_blocks.0.upsamplers.0.conv:in"]),
        (["**.skip"], [f"{b}.skip:out" for b in (
            "down_blocks.0.resnets.0", "down_blocks.1.resnets.0", "mid_block.resnets.0",
            "up_blocks.0.resnets.0", "up_blocks.0.resnets.1",
            "up_blocks.1.resnets.0", "up_blocks.1.resnets.1")]),
    ],
    ids=[
        "without a side it is the output", "the order is that of the forward",
        "no site comes twice", "a star stays inside one name", "a star stands for a number",
        "a question mark is one letter", "two stars cross names", "two stars begin a pattern",
    ],
)  # fmt: skip
def test_patterns_select_sites(tiny_edm, patterns, expected):
    assert select_sites(tiny_edm, patterns) == tuple(expected)


@pytest.mark.parametrize("pattern", ["up_blocks.*.conv2:in", "mid_block.*", "up_blocks.0.resnets"])
def test_a_star_does_not_cross_a_dot(tiny_edm, pattern):
    with pytest.raises(UnknownSiteError, match=r"No site matches"):
        select_sites(tiny_edm, [pattern])


def test_two_stars_select_every_output(tiny_edm):
    names = [site.name for site in sites(tiny_edm)]
    assert list(select_sites(tiny_edm, ["**", "**:in"])) == names
    assert list(select_sites(tiny_edm, ["**"])) == [n for n in names if n.endswith(":out")]


def test_dots_and_brackets_in_a_pattern_are_no_expression(tiny_edm):
    for pattern in ("conv.in", "conv_[io]n", "conv_in|fold", "(conv_in)"):
        with pytest.raises(UnknownSiteError):
            select_sites(tiny_edm, [pattern])


def test_an_unknown_site_is_answered_with_the_closest(tiny_edm):
    with pytest.raises(UnknownSiteError) as caught:
        select_sites(tiny_edm, ["up_blocks.0.resnet.0.conv2:in"])
    message = str(caught.value)
    assert '"up_blocks.0.resnet.0.conv2:in" in UNet (' in message
    assert message.index('"up_blocks.0.resnets.0.conv2:in"') < message.index("equipoise.sites")


def test_one_unknown_pattern_among_known_ones_is_refused(tiny_edm):
    with pytest.raises(UnknownSiteError, match="nowhere"):
        select_sites(tiny_edm, ["conv_in", "nowhere"])


def test_no_pattern_and_no_site_are_refused(tiny_edm, monkeypatch):
    with pytest.raises(BadInputError, match="No site was given"):
        select_sites(tiny_edm, [])
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as outside the tests
    gaussian = GaussianDenoiser(torch.zeros(2), torch.eye(2))
    assert sites(gaussian) == ()
    with pytest.raises(UnknownSiteError, match=r"0 sites\). Closest: none"):
        select_sites(gaussian, ["**"])


def test_a_network_that_reads_values_is_listed_by_a_real_forward():
    network = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 4))

    def call(net, x, sigma):
        assert int(sigma[0] * 1000) > 0  # a timestep as an index
        return net(x)

    denoiser = wrap(network, sample_shape=(4,), data_std=1.0, call=call)
    assert [site.name for site in sites(denoiser)] == ["0:in", "0:out", "1:in", "1:out"]


def test_one_pattern_may_be_a_plain_string(tiny_edm):
    assert select_sites(tiny_edm, "conv_in:in") == ("conv_in:in",)
