"""The nodes against stand-ins of ComfyUI's documented types."""

import copy
import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

import equipoise as eq
from equipoise.errors import BadInputError, UnknownSiteError
from equipoise.images import as_unit
from equipoise.zoo.package import load_zoo

FOLDER = Path(__file__).parents[2] / "integrations" / "comfyui"
COND, UNCOND = 0, 1
pytestmark = pytest.mark.slow  # diffusers takes seconds to import


@pytest.fixture(scope="module")
def package():
    """The folder as ComfyUI imports it."""
    place = FOLDER / "__init__.py"
    spec = importlib.util.spec_from_file_location(
        "equipoise_nodes", place, submodule_search_locations=[str(FOLDER)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["equipoise_nodes"] = module
    spec.loader.exec_module(module)
    yield module
    for name in [n for n in sys.modules if n.startswith("equipoise_nodes")]:
        del sys.modules[name]


@pytest.fixture
def blocker(monkeypatch):
    graph = ModuleType("comfy_execution.graph")
    graph.ExecutionBlocker = type("ExecutionBlocker", (), {"__init__": lambda self, told: None})
    monkeypatch.setitem(sys.modules, "comfy_execution", ModuleType("comfy_execution"))
    monkeypatch.setitem(sys.modules, "comfy_execution.graph", graph)
    return graph.ExecutionBlocker


def rename(resnet):
    """Give the layers of a residual block the places that they have in ComfyUI's."""
    layers = dict(resnet.named_children())
    for name, layer in layers.items():
        del resnet._modules[name]
        object.__setattr__(resnet, name, layer)  # found by the block, and by no name
    gap = torch.nn.Identity()
    resnet.in_layers = torch.nn.ModuleList([layers["norm1"], gap, layers["conv1"]])
    resnet.emb_layers = torch.nn.ModuleList([gap, layers["time_emb_proj"]])
    resnet.out_layers = torch.nn.ModuleList([layers["norm2"], gap, gap, layers["conv2"]])
    resnet.skip_connection = layers.get("conv_shortcut") or gap
    return resnet


class UNetModel(torch.nn.Module):
    """diffusers' U-Net behind the names and the call of ComfyUI's."""

    def __init__(self, unet):
        super().__init__()
        unet = copy.deepcopy(unet)
        for block in [*unet.down_blocks, unet.mid_block, *unet.up_blocks]:
            for resnet in block.resnets:
                rename(resnet)
        self._unet = [unet]  # hidden: its modules are found by ComfyUI's names only
        self.num_res_blocks = [unet.config.layers_per_block] * len(unet.down_blocks)
        self.input_blocks = torch.nn.ModuleList([torch.nn.ModuleList([unet.conv_in])])
        for block in unet.down_blocks:
            self.input_blocks.extend(self._pair(block))
            for sampler in block.downsamplers or ():
                self.input_blocks.append(torch.nn.ModuleList([sampler]))
        middle = unet.mid_block
        self.middle_block = torch.nn.ModuleList(
            [middle.resnets[0], middle.attentions[0], middle.resnets[1]]
        )
        self.output_blocks = torch.nn.ModuleList()
        for block in unet.up_blocks:
            self.output_blocks.extend(self._pair(block))
            for sampler in block.upsamplers or ():
                self.output_blocks[-1].append(sampler)

    @staticmethod
    def _pair(block):
        seen = getattr(block, "attentions", None) or [None] * len(block.resnets)
        pairs = zip(block.resnets, seen, strict=True)
        return [torch.nn.ModuleList([m for m in pair if m is not None]) for pair in pairs]

    def forward(self, x, timesteps, context=None, control=None, transformer_options=None):
        return self._unet[0](x, timesteps, context).sample


class BaseModel:
    """ComfyUI's arithmetic of a model that predicts eps on a discrete schedule."""

    def __init__(self, unet, alphas):
        self.diffusion_model = UNetModel(unet)
        self.sigmas = ((1 - alphas) / alphas).sqrt()

    def apply_model(self, x, t, c_concat=None, c_crossattn=None, control=None,
                    transformer_options=None):  # fmt: skip
        level = t[:, None, None, None]
        times = (self.sigmas[None] - t[:, None]).abs().argmin(dim=1)
        eps = self.diffusion_model(x / (1 + level**2).sqrt(), times.float(), context=c_crossattn)
        return x - level * eps


class ModelPatcher:
    def __init__(self, model, options=None):
        self.model, self.model_options = model, options or {"transformer_options": {}}

    def clone(self):
        return ModelPatcher(self.model, dict(self.model_options))

    def set_model_unet_function_wrapper(self, wrapper):
        self.model_options["model_function_wrapper"] = wrapper

    def sample(self, x, sigma, marks, context):
        """Call the model as ComfyUI's sampler does, one batch for all marks."""
        args = {
            "input": x, "timestep": sigma, "cond_or_uncond": marks,
            "c": {"c_crossattn": context, "transformer_options": {}},
        }  # fmt: skip
        wrapper = self.model_options.get("model_function_wrapper")
        if wrapper is not None:
            return wrapper(self.model.apply_model, args)
        return self.model.apply_model(x, sigma, **args["c"])


@pytest.fixture(scope="module")
def stage(pipeline):
    """A denoiser, a MODEL of the same network, and one guided call of two samples."""
    denoiser = eq.load(pipeline)
    model = ModelPatcher(BaseModel(pipeline.unet, pipeline.scheduler.alphas_cumprod))
    generator = torch.Generator().manual_seed(0)
    sigma = denoiser.snap(1.0)
    x = torch.randn(4, *denoiser.sample_shape, generator=generator)
    context = denoiser.null_condition(4) + 0.5 * torch.randn(
        denoiser.null_condition(4).shape, generator=generator
    )
    return SimpleNamespace(
        denoiser=denoiser, model=model, sigma=sigma,
        call=(x, torch.full((4,), sigma), [COND, UNCOND], context),
    )  # fmt: skip


@pytest.fixture(scope="module", params=["up_blocks.*.resnets.*:out", "*.resnets.*.conv2:in"])
def vector(request, stage):
    images = torch.rand(6, *stage.denoiser.image_shape, generator=torch.Generator().manual_seed(1))
    return eq.concept(
        stage.denoiser, positive=images[:3], negative=images[3:], sites=request.param
    )


@pytest.fixture
def node(package, vector, tmp_path):
    vector.save(tmp_path / "v.safetensors")

    def apply(model, *, strength=0.8, low=0.0, high=100.0, guidance="both"):
        steer = package.NODE_CLASS_MAPPINGS["EquipoiseSteer"]().steer
        return steer(model, str(tmp_path / "v.safetensors"), strength, low, high, guidance)[0]

    return apply


def test_the_stand_in_computes_what_the_denoiser_does(stage):
    x, sigma, _, context = stage.call
    expected = stage.denoiser.denoise(x, sigma, context)
    torch.testing.assert_close(stage.model.sample(*stage.call), expected, rtol=1e-4, atol=1e-5)


def test_a_steered_model_computes_what_eq_steer_does(stage, vector, node):
    x, sigma, _, context = stage.call
    plain = stage.model.sample(*stage.call)
    with eq.steer(stage.denoiser, vector, strength=0.8):
        expected = stage.denoiser.denoise(x, sigma, context)
    steered = node(stage.model).sample(*stage.call)
    torch.testing.assert_close(steered, expected, rtol=1e-4, atol=1e-5)
    assert float((steered - plain).abs().max()) > 1e-3
    assert torch.equal(stage.model.sample(*stage.call), plain)  # the MODEL given is not changed


def test_half_and_window_choose_rows(stage, node):
    plain, both = stage.model.sample(*stage.call), node(stage.model).sample(*stage.call)
    cond = node(stage.model, guidance="cond").sample(*stage.call)
    torch.testing.assert_close(cond[:2], both[:2])
    assert torch.equal(cond[2:], plain[2:])
    uncond = node(stage.model, guidance="uncond").sample(*stage.call)
    assert torch.equal(uncond[:2], plain[:2])
    outside = node(stage.model, low=2 * stage.sigma).sample(*stage.call)
    assert torch.equal(outside, plain)
    assert torch.equal(node(stage.model, strength=0.0).sample(*stage.call), plain)


def test_two_nodes_in_a_row_both_act(stage, node):
    once = node(stage.model, strength=0.8).sample(*stage.call)
    twice = node(node(stage.model, strength=0.4), strength=0.4).sample(*stage.call)
    torch.testing.assert_close(twice, once, rtol=1e-4, atol=1e-5)


def test_hooks_come_off_when_a_call_fails(stage, node):
    steered = node(stage.model)
    x, sigma, marks, context = stage.call
    with pytest.raises(RuntimeError):
        steered.sample(x[:, :1], sigma, marks, context)
    modules = stage.model.model.diffusion_model._unet[0].modules()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in modules)


def test_what_cannot_be_steered_is_refused(package, stage, node):
    transformer = ModelPatcher(SimpleNamespace(diffusion_model=torch.nn.Linear(1, 1)))
    with pytest.raises(BadInputError, match="U-Net"):
        node(transformer)
    with pytest.raises(BadInputError, match="window"):
        node(stage.model, low=2.0, high=1.0)
    for site in ("up_blocks.0:out", "up_blocks.0.upsamplers.0:out", "mid_block.0.resnets.0:out"):
        with pytest.raises(UnknownSiteError):
            sys.modules["equipoise_nodes.site_names"].translate(site, 2)


def test_names_are_those_that_diffusers_converts(package, pipeline):
    translate = sys.modules["equipoise_nodes.site_names"].translate
    unet = pipeline.unet
    modules = {
        name for name, module in unet.named_modules()
        if (".resnets." in name or ".attentions." in name) and hasattr(module, "weight")
    }  # fmt: skip
    assert len(modules) > 60
    layers = unet.config.layers_per_block
    there = {name: translate(f"{name}:in", layers)[0] for name in modules}
    checkpoint = {
        f"model.diffusion_model.{there[name]}.weight": torch.tensor(float(index))
        for index, name in enumerate(sorted(modules))
    }
    # The converter counts blocks, so those that hold no residual block must be there too.
    checkpoint["model.diffusion_model.input_blocks.0.0.weight"] = torch.tensor(-1.0)
    for level in range(1, len(unet.down_blocks)):
        between = f"model.diffusion_model.input_blocks.{level * (layers + 1)}.0.op"
        checkpoint[f"{between}.weight"] = checkpoint[f"{between}.bias"] = torch.tensor(-1.0)
    converted = convert_ldm_unet_checkpoint(checkpoint, unet.config)
    for index, name in enumerate(sorted(modules)):
        assert float(converted[f"{name}.weight"]) == index, name


@pytest.fixture(scope="module")
def batch():
    """IMAGE: eight planted images and eight held-out ones in RGB, and their values in grey."""
    zoo = load_zoo("zoo:edm-fashion")
    often = [item.index for item in zoo.training_set.planted if item.multiplicity == 90]
    grey = as_unit(torch.cat([zoo.training_set.images[often[:8]], zoo.held_out[:8]]))
    return grey.permute(0, 2, 3, 1).repeat(1, 1, 1, 3), grey


def test_scores_are_those_of_the_library(package, batch):
    images, grey = batch
    scores, text = package.NODE_CLASS_MAPPINGS["EquipoiseSpikiness"]().score(
        images, "zoo:edm-fashion"
    )
    expected = eq.spikiness(eq.load("zoo:edm-fashion"), grey).values
    torch.testing.assert_close(torch.tensor(scores, dtype=torch.float64), expected)
    assert len(text.splitlines()) == 17
    assert "only rank" in text


def test_the_guard_parts_a_batch_as_the_detector_says(package, batch, blocker):
    images, grey = batch
    check = package.NODE_CLASS_MAPPINGS["EquipoiseGuard"]().check
    passed, withheld, text = check(images, "zoo:edm-fashion", "", "pass")
    subject = sys.modules["equipoise_nodes.nodes"]._open("zoo:edm-fashion")
    calibration = eq.load_calibration(subject.shipped)
    verdicts = eq.CalibratedDetector(subject.denoiser, calibration)(grey).verdicts
    flagged = torch.tensor([verdict == "memorized" for verdict in verdicts])
    assert 0 < int(flagged.sum()) < 16
    assert torch.equal(withheld, images[flagged])
    assert torch.equal(passed, images[~flagged])
    assert [line.split()[2].rstrip(",") for line in text.splitlines()] == list(verdicts)
    everything, nothing, _ = check(images[8:9], "zoo:edm-fashion", str(subject.shipped), "pass")
    assert len(everything) == 1
    assert isinstance(nothing, blocker)


def test_a_model_without_a_calibration_is_refused(package, batch):
    check = package.NODE_CLASS_MAPPINGS["EquipoiseGuard"]().check
    with pytest.raises(BadInputError, match="brings no calibration"):
        check(batch[0], "zoo:edm-fashion@2000", "", "pass")


def test_nodes_keep_the_interface_that_comfyui_reads(package):
    assert package.NODE_CLASS_MAPPINGS.keys() == package.NODE_DISPLAY_NAME_MAPPINGS.keys()
    for node in package.NODE_CLASS_MAPPINGS.values():
        assert callable(getattr(node(), node.FUNCTION))
        assert all(isinstance(kind, str) for kind in node.RETURN_TYPES)
        for kind, *words in node.INPUT_TYPES()["required"].values():
            assert isinstance(kind, str | list)
            assert not words or isinstance(words[0], dict)
