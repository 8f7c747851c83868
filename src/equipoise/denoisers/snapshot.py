"""Build a denoiser of an EDM snapshot: our own network, filled strictly from its tensors.

Shape and preconditioning come from what the snapshot's modules were made with. The network is
first built without memory, and compared with the tensors by name and shape; so a file can never
ask for more memory than it has bytes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from equipoise.checkpoints.snapshot import Snapshot, read_plain
from equipoise.denoisers.dhariwal import DhariwalSpec, DhariwalUNet
from equipoise.denoisers.filling import fill
from equipoise.denoisers.preconditioned import PreconditionedDenoiser
from equipoise.denoisers.preconditioning import (
    EdmPreconditioning,
    IddpmPreconditioning,
    Preconditioning,
    VePreconditioning,
    VpPreconditioning,
)
from equipoise.denoisers.song import SongSpec, SongUNet
from equipoise.denoisers.unet_spec import UNetSpec
from equipoise.errors import BadInputError, quote

LEVELS = "u"
"""Name of iDDPM's noise levels among the tensors."""
POSITIONAL = ("img_resolution", "in_channels", "out_channels", "label_dim", "augment_dim")


class _Scalars(BaseModel):
    """The numbers that a preconditioning keeps beside its network."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    img_resolution: int = Field(ge=1, le=4096)
    img_channels: int = Field(ge=1, le=256)
    label_dim: int = Field(0, ge=0, le=1_000_000)
    sigma_data: float = Field(0.5, gt=0, allow_inf_nan=False)
    beta_d: float = Field(19.9, gt=0, allow_inf_nan=False)
    beta_min: float = Field(0.1, ge=0, allow_inf_nan=False)
    M: int = Field(1000, ge=2, le=100_000)


Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class EdmParts:
    """What a snapshot says of its averaged network: plain values, and tensors by dotted names."""

    preconditioning: str
    scalars: Mapping[str, Any]
    network: str
    words: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


def build_from_snapshot(snapshot: Snapshot) -> PreconditionedDenoiser:
    """Make a denoiser of the averaged network of a snapshot.

    Raises:
        BadInputError: when it is none of the known networks, or its tensors do not fit.
        NonFiniteError: when a weight is NaN or infinite.
        UnsafeFileError: when a tensor does not lie in the file as announced.
    """
    return build_from_parts(read_parts(snapshot))


def read_parts(snapshot: Snapshot) -> EdmParts:
    """Take out of a snapshot what its network is built from, and nothing else.

    Raises:
        BadInputError: when it is none of the known networks.
        UnsafeFileError: when a tensor does not lie in the file as announced.
    """
    ema = snapshot.ema
    if ema.class_name not in PRECONDITIONINGS:
        raise BadInputError(
            f"The snapshot holds a preconditioning of the class {quote(ema.class_name)}; known "
            f"are {', '.join(PRECONDITIONINGS)}."
        )
    if set(ema.children) != {"model"}:
        raise BadInputError(f"The snapshot's {ema.class_name} holds no network.")
    state = ema.children["model"]
    positional = dict(zip(POSITIONAL, state.arguments, strict=False))
    words = {k: _plain(v) for k, v in {**positional, **state.keywords}.items()}
    scalars = _validate(_Scalars, ema.attributes).model_dump()
    return EdmParts(ema.class_name, scalars, state.class_name, words, snapshot.tensors())


def build_from_parts(parts: EdmParts) -> PreconditionedDenoiser:
    """Make a denoiser of the parts of a snapshot; errors as for `build_from_snapshot`."""
    scalars = _validate(_Scalars, dict(parts.scalars))
    with torch.device("meta"):
        network = _build_network(parts.network, dict(parts.words))
    own = {n: t for n, t in parts.tensors.items() if not n.startswith("model.")}
    inside = {n.removeprefix("model."): t for n, t in parts.tensors.items() if n not in own}
    fill(network, inside)
    spec = network.spec
    _check_agreement(scalars, spec)
    return PreconditionedDenoiser(
        network=network,
        preconditioning=_build_preconditioning(parts.preconditioning, scalars, own),
        sample_shape=(spec.in_channels, spec.img_resolution, spec.img_resolution),
        num_classes=spec.label_dim,
        default_sites=choose_sites(spec),
    )


def choose_sites(spec: UNetSpec) -> tuple[str, ...]:
    """Name the default sites: where the paper looks in a U-Net, by the names of this family.

    What enters the second convolution of the residual blocks of the lowest level going up, and
    of the first block of the level above.
    """
    lowest, *above = reversed(spec.levels)
    return (
        f"dec.{lowest}_block*.conv1:in",
        *(f"dec.{name}_block0.conv1:in" for name in above[:1]),
    )


def _build_network(name: str, words: dict[str, Any]) -> SongUNet | DhariwalUNet:
    if name == "SongUNet":
        return SongUNet(_validate(SongSpec, words))
    if name == "DhariwalUNet":
        return DhariwalUNet(_validate(DhariwalSpec, words))
    raise BadInputError(
        f"The snapshot holds a network of the class {quote(name)}; known are SongUNet (ddpm++, "
        "ncsn++) and DhariwalUNet (adm)."
    )


def _build_preconditioning(
    name: str, scalars: _Scalars, tensors: dict[str, Tensor]
) -> Preconditioning:
    expected = {LEVELS: (scalars.M + 1,)} if name == "iDDPMPrecond" else {}
    given = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    if given != expected:
        raise BadInputError(
            f"The snapshot's {name} keeps the tensors {sorted(given)[:3]}; {sorted(expected)} was "
            "expected."
        )
    return PRECONDITIONINGS[name](scalars, tensors)


def _check_agreement(scalars: _Scalars, spec: UNetSpec) -> None:
    inside = (spec.img_resolution, spec.in_channels, spec.label_dim)
    outside = (scalars.img_resolution, scalars.img_channels, scalars.label_dim)
    if inside != outside or spec.out_channels < spec.in_channels:
        raise BadInputError(
            f"The snapshot contradicts itself: its network has resolution, channels and classes "
            f"{inside}, its preconditioning {outside}."
        )


def _validate(model: type[Model], words: dict[str, Any]) -> Model:
    try:
        return model.model_validate(words)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        places = [quote(".".join(map(str, problem["loc"]))) for problem in problems]
        listed = "; ".join(
            f"{at}: {p['msg']}" for at, p in zip(places[:3], problems, strict=False)
        )
        raise BadInputError(
            f"The snapshot describes a network that cannot be built: {listed}."
        ) from error


def _plain(value: object) -> object:
    return [read_plain(item) for item in value] if type(value) is list else read_plain(value)


PRECONDITIONINGS: dict[str, Callable[[_Scalars, dict[str, Tensor]], Preconditioning]] = {
    "EDMPrecond": lambda s, _: EdmPreconditioning(s.sigma_data),
    "VPPrecond": lambda s, _: VpPreconditioning(s.beta_d, s.beta_min, s.M),
    "VEPrecond": lambda _, __: VePreconditioning(),
    "iDDPMPrecond": lambda _, tensors: IddpmPreconditioning(tensors[LEVELS].float()),
}
"""What makes a preconditioning, by the name of its class in the snapshot."""
