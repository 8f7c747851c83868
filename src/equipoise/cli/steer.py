"""`equipoise steer`: make a concept vector, apply it, measure what it does."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from equipoise.cli.output import Count, Device, Json, Model, emit, name_run, show_rate, tabulate
from equipoise.errors import BadInputError

if TYPE_CHECKING:
    from torch import Tensor

    from equipoise.auditing.subject import Subject
    from equipoise.steering.editing import Edit

steer = App(name="steer", help="Concept vectors: make, apply and measure them.")

Vector = Annotated[Path, Parameter(help="File of a concept vector.")]
Kind = Literal["per-position", "pooled"]


@steer.command
def make(
    out: Path,
    *,
    positive: Path,
    negative: Path | None = None,
    prompts: bool = False,
    model: Model = "zoo:edm-fashion",
    sites: tuple[str, ...] = (),
    sigma: tuple[float, ...] = (),
    kind: Kind = "per-position",
    seed: int = 0,
    as_json: Json = False,
) -> None:
    """Make a concept vector from pictures with the concept and without, or from prompts.

    Args:
        out: File to write (.safetensors).
        positive: Folder, list or picture that shows the concept.
        negative: The same without it; without this the vector is a mean.
        prompts: Both are text files of prompts, one a line, of which the model draws a picture
            each; the k-th pictures of both start from the same noise.
        sites: Names or patterns; default by the kind of model, see docs/steering.md.
        sigma: Noise levels of the references, data units; default the spread of the data.
        kind: A number for every place, or one for every channel.
        seed: Seed of the noise.
    """
    from equipoise.auditing.prompts import read_prompts
    from equipoise.doors import concept

    shown, without = (
        read_prompts(side) if prompts and side is not None else side
        for side in (positive, negative)
    )
    assert shown is not None
    vector = concept(
        model, positive=shown, negative=without, sites=sites or None, sigma=sigma or None,
        kind=kind, seed=seed,
    )  # fmt: skip
    vector.save(out)
    document = _summarize(vector) | {"file": str(out)}
    emit(document, _describe_vector(document), as_json=as_json)


@steer.command
def show(vector: Vector, *, as_json: Json = False) -> None:
    """Say what a vector is: model, sites, noise levels, size, recipe."""
    from equipoise.steering import load_vector

    document = _summarize(load_vector(vector))
    emit(document, _describe_vector(document), as_json=as_json)


@steer.command
def apply(
    vector: Vector,
    *,
    out: Path,
    model: Model = "zoo:edm-fashion",
    strength: str = "0:1.5:7",
    window: tuple[float, float] | None = None,
    mode: Literal["add", "remove", "interpolate"] = "add",
    label: int | None = None,
    prompt: str | None = None,
    num_seeds: Count = 4,
    seed: int = 0,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Draw outputs at several strengths, as one labelled picture: a row a seed.

    Args:
        out: Picture to write (.png).
        strength: "FIRST:LAST:COUNT", or one number.
        window: Lowest and highest noise level at which to act, data units; default everywhere.
        mode: Add the vector, remove its projection, or move the projection to one unit.
        label: Class that a conditional model is asked for; default none.
        prompt: What a text-to-image model is asked for, with guidance; default nothing, without.
        num_seeds: Rows.
        seed: Seed of the outputs.
    """
    from equipoise.auditing.subject import follow_prompts, open_subject
    from equipoise.denoisers import guide
    from equipoise.steering import load_vector
    from equipoise.steering.strip import choose_condition, draw_strip, write_strip

    strengths = parse_strengths(strength)
    subject = open_subject(model, device=device)
    cond = choose_condition(subject.denoiser, label=label, prompt=prompt)
    scale = 1.0 if prompt is None else follow_prompts(subject).sampler.guidance
    drawn = draw_strip(
        guide(subject.denoiser, scale), load_vector(vector), sampler=subject.sampler,
        strengths=strengths, window=window, mode=mode, cond=cond, num_seeds=num_seeds, seed=seed,
    )  # fmt: skip
    write_strip(out, drawn, [f"{value:.3g}" for value in strengths])
    document = {"file": str(out), "strengths": strengths, "seeds": num_seeds}
    emit(document, f"written to {out}", as_json=as_json)


@steer.command
def edit(
    picture: Path,
    vector: Vector,
    *,
    out: Path,
    model: Model = "zoo:edm-fashion",
    strength: str = "0:1:5",
    start: float | None = None,
    window: tuple[float, float] | None = None,
    mode: Literal["add", "remove", "interpolate"] = "add",
    prompt: str | None = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Edit a picture that exists: back to noise by the model, and forth again with steering.

    The picture's own verdict comes first, where the model ships a calibration: memorized pictures
    may resist.

    Args:
        picture: The picture.
        out: Strip to write (.png): the picture, then one column a strength.
        strength: "FIRST:LAST:COUNT", or one number.
        start: Noise level to go back to, data units; lower keeps more; default all the way.
        window: Lowest and highest noise level at which to act, data units; default everywhere.
        mode: Add the vector, remove its projection, or move the projection to one unit.
        prompt: What the picture shows, in words, for a text-to-image model; default nothing.
    """
    from equipoise.auditing.subject import open_subject
    from equipoise.doors import edit as edit_picture
    from equipoise.steering import load_vector
    from equipoise.steering.reference import read_references

    subject, strengths = open_subject(model, device=device), parse_strengths(strength)
    image = read_references(picture, subject.denoiser.image_shape)[0]
    verdict = _judge_first(subject, image)
    edited = edit_picture(
        subject, image, load_vector(vector), strength=strengths, start=start, window=window,
        mode=mode, prompt=prompt,
    )  # fmt: skip
    _write_edit(out, image, edited)
    document = {
        "verdict": verdict,
        "reconstruction_error": edited.error,
        "strengths": strengths,
        "file": str(out),
    }
    emit(document, _describe_edit(document), as_json=as_json)


@steer.command
def response(
    *,
    model: Model = "zoo:dit-fashion",
    seed: int = 0,
    num_seeds: Count = 16,
    num_pairs: Count = 64,
    out: Path | None = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Measure how outputs of a zoo model follow the strength, and whether memorized ones resist.

    Args:
        seed: Seed of the outputs and of the draw of references.
        num_seeds: Outputs a concept.
        num_pairs: Most pairs of a copy and a novel output.
        out: Run folder to write; default runs/steering-TIME.
    """
    from equipoise.bench.response import choose_spec, run_response
    from equipoise.report import render_report
    from equipoise.zoo.package import load_zoo

    folder = out or name_run("steering")
    opened = load_zoo(model).to(device)
    spec = choose_spec(opened.recipe, seed=seed, num_seeds=num_seeds, num_pairs=num_pairs)
    run = run_response(opened, folder, spec=spec)
    report = render_report(run.path)
    document = run.record.results | {
        "report": str(report),
        "run": str(run.path),
        "seconds": run.record.cost["seconds"],
    }
    emit(document, _describe_response(document), as_json=as_json)


def parse_strengths(text: str) -> list[float]:
    """Read "FIRST:LAST:COUNT", or one number.

    Raises:
        BadInputError: for anything else.
    """
    parts = text.split(":")
    try:
        if len(parts) == 1:
            return [float(text)]
        first, last, count = float(parts[0]), float(parts[1]), int(parts[2])
        if len(parts) != 3 or count < 2:
            raise ValueError
    except (ValueError, IndexError) as error:
        raise BadInputError(
            f'"{text}" is no strength: give one number, or FIRST:LAST:COUNT as in 0:1.5:7.'
        ) from error
    return [first + (last - first) * step / (count - 1) for step in range(count)]


def _judge_first(subject: "Subject", image: "Tensor") -> str | None:
    """Return the verdict on a picture by the calibration that the model ships, if it ships one."""
    from equipoise.doors import CalibratedDetector

    calibration = subject.load_calibration()
    if calibration is None:
        return None
    return CalibratedDetector(subject.denoiser, calibration)(image[None]).verdicts[0]


def _write_edit(out: Path, image: "Tensor", edited: "Edit") -> None:
    """Write one row: the picture, then a column a strength."""
    import torch

    from equipoise.images import quantize
    from equipoise.steering.strip import write_strip

    shown = quantize(torch.cat([image[None], edited.pictures]))[None]
    write_strip(out, shown, ["picture", *(f"{value:.3g}" for value in edited.strengths)])


def _describe_edit(document: Mapping[str, Any]) -> str:
    verdict = document["verdict"]
    told = "no calibration, so no verdict" if verdict is None else verdict.replace("_", " ")
    return (
        f"the picture itself: {told}\n"
        f"reconstruction error at strength 0: {document['reconstruction_error']:.4f} "
        f"(root mean square, values 0 to 1)\nwritten to {document['file']}"
    )


def _summarize(vector: Any) -> dict[str, Any]:  # noqa: ANN401 - torch is not loaded here
    record = vector.record.model_dump(mode="json")
    return record | {
        "sites": list(vector.sites),
        "shapes": {site: list(t.shape[1:]) for site, t in vector.tensors.items()},
        "strength": vector.measure_strength(),
    }


def _describe_vector(document: dict[str, Any]) -> str:
    rows = [
        [site, " x ".join(map(str, document["shapes"][site])), f"{document['strength'][site]:.3g}"]
        for site in document["sites"]
    ]
    sigmas = ", ".join(f"{sigma:.3g}" for sigma in document["sigmas"])
    return "\n".join(
        [
            f"{document['kind']} vector of {document['model']} ({document['fingerprint']}), "
            f"noise levels {sigmas}",
            "",
            tabulate(["site", "shape", "units"], rows),
        ]
    )


def _describe_response(document: dict[str, Any]) -> str:
    rows = [_list_cells(told) for told in document["concepts"]]
    head = [
        "concept", "best chance", "pixel mean", "asked for", "Spearman", "gain / random",
        "usable to",
    ]  # fmt: skip
    return "\n".join(
        [
            tabulate(head, rows),
            "",
            f"{len(document['reached'])} of {len(rows)} reach {document['reached_at']:g}. "
            + document["verdict"],
            "",
            f"report: {document['report']}   ({document['seconds']:.0f} s)",
        ]
    )


def _list_cells(told: dict[str, Any]) -> list[str]:
    best, asked = told["best"], told["prompt_edit"]
    return [
        told["name"], f"{best['p']:.2f} at {best['strength']:g}",
        f"{told['pixel_mean']['p']:.2f}", "-" if asked is None else f"{asked['p']:.2f}",
        show_rate(told["spearman"]), show_rate(told["gain_over_random"]),
        f"{told['usable_range'][1]:g}",
    ]  # fmt: skip
