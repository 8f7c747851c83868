import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from equipoise.denoisers import wrap
from equipoise.errors import CaptureError, UnknownSiteError
from equipoise.representation import POOLINGS, Representation, capture, observe, sites

EARLY = "down_blocks.0.resnets.0.conv2:in"
LATE = "up_blocks.0.resnets.1.conv2:out"
SIGMA = torch.tensor([0.1, 0.5, 2.0])
X = torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
OTHER = torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(1))
WORDS = {"sample_shape": (4,), "data_std": 1.0, "call": lambda module, x, sigma: module(x)}


def num_hooks(network):
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_with_kwargs")
    kinds += ("_forward_pre_hooks_with_kwargs", "_forward_hooks_always_called")
    return sum(len(getattr(m, kind)) for m in network.modules() for kind in kinds)


def slow_twin(denoiser, x, names, pooling):
    """Run the whole forward, keep everything by plain hooks, pool afterwards by numpy."""
    modules, kept, handles = dict(denoiser.network.named_modules()), {}, []
    for name in names:
        module, side = name.rsplit(":", 1)
        if side == "in":
            handles.append(
                modules[module].register_forward_pre_hook(
                    lambda _, args, name=name: kept.__setitem__(name, args[0].clone())
                )
            )
        else:
            handles.append(modules[module].register_forward_hook(
                lambda _, __, out, name=name: kept.__setitem__(name, out.clone())))  # fmt: skip
    with torch.no_grad():
        denoiser.denoise(x, SIGMA)
    for handle in handles:
        handle.remove()
    axes = {2: (), 3: (1,), 4: (2, 3)}
    for name, h in kept.items():
        if pooling != "none" and axes[h.ndim]:
            kept[name] = {"max": torch.amax, "mean": torch.mean}[pooling](h, axes[h.ndim])
    return kept


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("stop", [True, False], ids=["stopping", "running on"])
def test_capture_equals_a_slow_twin_bit_for_bit(tiny_edm, pooling, stop):
    names = [*[site.name for site in sites(tiny_edm)][1::9], EARLY, LATE]
    with torch.no_grad(), capture(tiny_edm, names, pooling=pooling, stop=stop) as tape:
        tiny_edm.denoise(X, SIGMA)
    expected = slow_twin(tiny_edm, X, names, pooling)
    assert set(tape) == set(expected) == set(names)
    assert list(tape) == [site.name for site in sites(tiny_edm) if site.name in names]
    for name, h in expected.items():
        assert torch.equal(tape[name], h), name
        assert h.abs().max() > 0


def test_observe_says_what_was_captured_where(tiny_edm):
    found = observe(tiny_edm, X, SIGMA, [EARLY, LATE], pooling="mean")
    expected = slow_twin(tiny_edm, X, [EARLY, LATE], "mean")
    assert list(found) == [EARLY, LATE]
    for name, representation in found.items():
        assert isinstance(representation, Representation)
        assert torch.equal(representation.tensor, expected[name])
        assert (representation.site, representation.pooling) == (name, "mean")
        assert torch.equal(representation.sigma, SIGMA)
        with pytest.raises(AttributeError):
            representation.site = "elsewhere"


def test_every_listed_site_can_be_captured(tiny_edm):
    for name in [site.name for site in sites(tiny_edm)]:
        assert observe(tiny_edm, X[:1], SIGMA[:1], [name])[name].tensor.numel() > 0


def test_a_single_pattern_may_be_given_as_a_string(tiny_edm):
    with capture(tiny_edm, "up_blocks.*.resnets.0.conv2:in") as tape:
        tiny_edm.denoise(X, SIGMA)
    assert len(tape) == 2
    assert all(h.ndim == 2 and not h.requires_grad for h in tape.values())


def count_calls(network):
    calls = []
    handles = [
        module.register_forward_pre_hook(lambda *_, name=name: calls.append(name))
        for name, module in network.named_modules()
        if not list(module.children())
    ]
    return calls, handles


@pytest.mark.parametrize("site", [EARLY, LATE, "conv_in:out", "mid_block:in", "embedding:out"])
def test_nothing_after_the_last_site_is_called(tiny_edm, site):
    calls, handles = count_calls(tiny_edm.network)
    tiny_edm.denoise(X, SIGMA)
    complete = list(calls)
    calls.clear()
    with capture(tiny_edm, ["embedding.linear_1:in", site]):
        tiny_edm.denoise(X, SIGMA)
        pytest.fail("the forward ended")
    for handle in handles:
        handle.remove()
    assert calls == complete[: len(calls)]
    order = [s.name for s in sites(tiny_edm)]
    leaves = {f"{name}:in" for name in complete}
    expected = sum(name in leaves for name in order[: order.index(site) + 1])
    # our own hook on the module stands before the one of the capture
    assert len(calls) == expected < len(complete)


def test_without_stopping_the_forward_returns_and_the_latest_is_kept(tiny_edm):
    plain = tiny_edm.denoise(OTHER, SIGMA)
    with capture(tiny_edm, [EARLY], stop=False) as tape:
        tiny_edm.denoise(X, SIGMA)
        first = tape[EARLY]
        assert torch.equal(tiny_edm.denoise(OTHER, SIGMA), plain)
    assert torch.equal(tape[EARLY], slow_twin(tiny_edm, OTHER, [EARLY], "max")[EARLY])
    assert torch.equal(first, slow_twin(tiny_edm, X, [EARLY], "max")[EARLY])


def test_hooks_are_gone_after_every_exit(tiny_edm):
    assert num_hooks(tiny_edm.network) == 0
    with capture(tiny_edm, [EARLY, LATE]):
        assert num_hooks(tiny_edm.network) > 0
        tiny_edm.denoise(X, SIGMA)
    assert num_hooks(tiny_edm.network) == 0
    with capture(tiny_edm, [EARLY], stop=False):
        tiny_edm.denoise(X, SIGMA)
    assert num_hooks(tiny_edm.network) == 0
    with pytest.raises(ZeroDivisionError), capture(tiny_edm, [LATE]):
        _ = 1 / 0
    assert num_hooks(tiny_edm.network) == 0
    with pytest.raises(CaptureError), capture(tiny_edm, [LATE]):
        pass
    assert num_hooks(tiny_edm.network) == 0
    with pytest.raises(UnknownSiteError):
        capture(tiny_edm, ["nowhere"])
    assert num_hooks(tiny_edm.network) == 0


def test_hooks_are_gone_after_the_forward_itself_fails(tiny_edm):
    with pytest.raises(RuntimeError), capture(tiny_edm, [LATE]):
        tiny_edm.denoise(torch.zeros(1, 3, 16, 16), torch.ones(1))
    assert num_hooks(tiny_edm.network) == 0


def test_the_users_own_hooks_stay(tiny_edm):
    calls, handles = count_calls(tiny_edm.network)
    before = num_hooks(tiny_edm.network)
    observe(tiny_edm, X, SIGMA, [EARLY])
    assert num_hooks(tiny_edm.network) == before > 0
    for handle in handles:
        handle.remove()
    assert calls


def test_the_model_is_not_changed(tiny_edm):
    before = copy.deepcopy(tiny_edm.network.state_dict())
    plain = tiny_edm.denoise(X, SIGMA)
    observe(tiny_edm, X, SIGMA, ["**", "**conv*:in"], pooling="none")
    after = tiny_edm.network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(before[name], weight) for name, weight in after.items())
    assert torch.equal(tiny_edm.denoise(X, SIGMA), plain)


@pytest.mark.parametrize(
    ("outer_site", "inner_site"),
    [(EARLY, LATE), (LATE, EARLY), (EARLY, EARLY)],
    ids=["the outer one first", "the inner one first", "at the same site"],
)
def test_captures_inside_each_other_both_get_one_forward(tiny_edm, outer_site, inner_site):
    with capture(tiny_edm, [outer_site]) as outer, capture(tiny_edm, [inner_site]) as inner:
        tiny_edm.denoise(X, SIGMA)
    expected = slow_twin(tiny_edm, X, [outer_site, inner_site], "max")
    assert dict(outer).keys() == {outer_site}
    assert dict(inner).keys() == {inner_site}
    assert torch.equal(outer[outer_site], expected[outer_site])
    assert torch.equal(inner[inner_site], expected[inner_site])
    assert num_hooks(tiny_edm.network) == 0


def test_an_inner_capture_that_stops_leaves_an_outer_one_that_runs_on(tiny_edm):
    with capture(tiny_edm, [EARLY, LATE], stop=False) as outer:
        with capture(tiny_edm, [EARLY], pooling="mean") as inner:
            tiny_edm.denoise(X, SIGMA)
        tiny_edm.denoise(OTHER, SIGMA)
    mean = slow_twin(tiny_edm, X, [EARLY], "mean")
    assert torch.equal(inner[EARLY], mean[EARLY])
    expected = slow_twin(tiny_edm, OTHER, [EARLY, LATE], "max")
    assert all(torch.equal(outer[name], expected[name]) for name in (EARLY, LATE))


def test_looking_at_another_model_inside_a_capture_disturbs_nothing(tiny_edm):
    other = replace(tiny_edm, network=copy.deepcopy(tiny_edm.network))
    with capture(tiny_edm, [EARLY]) as outer:
        found = observe(other, OTHER, SIGMA, [LATE])[LATE].tensor
        assert len(outer) == 0
        tiny_edm.denoise(X, SIGMA)
    assert torch.equal(outer[EARLY], slow_twin(tiny_edm, X, [EARLY], "max")[EARLY])
    assert torch.equal(found, slow_twin(tiny_edm, OTHER, [LATE], "max")[LATE])


class Plain(nn.Module):
    """A network without shape checks, which the compiler would stumble over."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first, self.act, self.last = nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4)
        self.requires_grad_(False)

    def forward(self, x):
        return self.last(self.act(self.first(x)))


def counting_backend(graphs):
    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    return backend


@pytest.mark.parametrize("way", ["around", "in place", "a part"])
def test_a_compiled_network_is_looked_into_under_its_own_names(way):
    graphs, network = [], Plain()
    if way == "around":
        network = torch.compile(network, backend=counting_backend(graphs))
    elif way == "in place":
        network.compile(backend=counting_backend(graphs))
    else:
        network.last = torch.compile(network.last, backend=counting_backend(graphs))
    compiled, x = wrap(network, **WORDS), X[:, 0, 0, :4]
    plain = compiled.denoise(x, SIGMA)  # compiled code does not see hooks set later
    assert len(graphs) == 1
    names = ["first:in", "act:out", "last:in"]
    assert [site.name for site in sites(compiled) if site.name in names] == names
    found = observe(compiled, x, SIGMA, names)
    expected = slow_twin(wrap(Plain(), **WORDS), x, names, "max")
    assert list(found) == names
    assert all(torch.equal(found[name].tensor, expected[name]) for name in names)
    assert num_hooks(network) == 0
    assert torch.equal(compiled.denoise(x, SIGMA), plain)
    assert len(graphs) == 1  # the compiled code is used again, not compiled again


def test_a_shared_activation_is_refused():
    act = nn.ReLU()
    network = nn.Sequential(nn.Linear(4, 4), act, nn.Linear(4, 4), act, nn.Linear(4, 4))
    with pytest.raises(CaptureError, match=r'"1:out" fires more than once'):
        capture(wrap(network, **WORDS), ["**"])
    assert num_hooks(network) == 0
    assert set(observe(wrap(network, **WORDS), X[:, 0, 0, :4], SIGMA, ["2:in", "4:in"])) == {
        "2:in", "4:in",
    }  # fmt: skip


def test_a_module_that_fires_again_in_this_forward_only_is_refused():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.last, self.times = nn.Linear(4, 4), nn.Linear(4, 4), 1

        def forward(self, x):
            for _ in range(self.times):
                x = self.inner(x)
            return self.last(x)

    network = Network()
    denoiser = wrap(network, **WORDS)
    sites(denoiser)
    network.times = 2
    with pytest.raises(CaptureError, match="more than once"):
        observe(denoiser, torch.ones(1, 4), torch.ones(1), ["inner:out", "last:in"])
    assert num_hooks(network) == 0


def test_a_with_that_sees_no_forward_is_an_error(tiny_edm):
    with (
        pytest.raises(CaptureError, match=rf'"{EARLY}" did not fire.*inside the `with`'),
        capture(tiny_edm, [EARLY]),
    ):
        pass
    with pytest.raises(CaptureError, match="did not fire"), capture(tiny_edm, [LATE], stop=False):
        tiny_edm.network.conv_in(torch.zeros(1, 4, 8, 8))


def test_a_handler_inside_the_network_does_not_swallow_the_stop():
    class Stubborn(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.after = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            try:
                x = self.inner(x)
            except Exception:
                pytest.fail("the stop was swallowed")
            return self.after(x)

    found = observe(wrap(Stubborn(), **WORDS), torch.ones(1, 4), torch.ones(1), ["inner"])
    assert found["inner:out"].tensor.shape == (1, 4)


def test_tokens_are_pooled_over_their_axis():
    network = nn.Sequential(nn.Linear(6, 9), nn.GELU(), nn.Linear(9, 6))
    denoiser = wrap(network, **(WORDS | {"sample_shape": (5, 6)}))
    x = torch.randn(3, 5, 6, generator=torch.Generator().manual_seed(0))
    for pooling in POOLINGS:
        found = observe(denoiser, x, SIGMA, ["1:out"], pooling=pooling)["1:out"].tensor
        assert torch.equal(found, slow_twin(denoiser, x, ["1:out"], pooling)["1:out"])
        assert found.shape == ((3, 5, 9) if pooling == "none" else (3, 9))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_an_activation_that_works_in_place_does_not_reach_the_tape(pooling):
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(inplace=True), nn.Linear(8, 4))
    denoiser = wrap(network, **WORDS)
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    found = observe(denoiser, x, SIGMA, ["0:out", "2:in"], pooling=pooling)
    expected = torch.nn.functional.linear(x, network[0].weight, network[0].bias)
    assert expected.min() < 0
    assert torch.equal(found["0:out"].tensor, expected)
    assert torch.equal(found["2:in"].tensor, expected.relu())


def test_changing_what_is_on_the_tape_does_not_change_the_forward():
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    denoiser, x = wrap(network, **WORDS), torch.ones(1, 4)
    with torch.no_grad(), capture(denoiser, ["0:in", "1:out"], stop=False) as tape:
        denoiser.denoise(x, torch.ones(1))
        tape["0:in"].fill_(9.0)
    assert torch.equal(x, torch.ones(1, 4))


def test_the_tape_can_be_read_only(tiny_edm):
    with capture(tiny_edm, [EARLY]) as tape:
        tiny_edm.denoise(X, SIGMA)
    with pytest.raises(TypeError):
        tape[EARLY] = torch.zeros(1)
    with pytest.raises(KeyError):
        _ = tape[LATE]


def test_a_capture_can_be_entered_again(tiny_edm):
    tape = capture(tiny_edm, [EARLY])
    for x in (X, OTHER):
        with tape:
            tiny_edm.denoise(x, SIGMA)
        assert torch.equal(tape[EARLY], slow_twin(tiny_edm, x, [EARLY], "max")[EARLY])
    assert num_hooks(tiny_edm.network) == 0
