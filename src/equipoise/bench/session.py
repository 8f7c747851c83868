"""One training from start to end, over as many sittings as it takes.

At every look the whole state of the training is written to one file, so a killed process loses
the steps since then and nothing else: a resumed training has the weights of an unbroken one, bit
for bit on one machine.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save
from tqdm.auto import tqdm

from equipoise.bench.watch import Look, look
from equipoise.detection import Stopwatch
from equipoise.runs.atomic import write_atomic
from equipoise.zoo.network import ZooDenoiser, save_weights
from equipoise.zoo.package import ZooModel, locate_save
from equipoise.zoo.training import (
    TrainingState,
    dump_state,
    restore_state,
    start_training,
    train,
)

LOSS_EVERY = 100


@dataclass
class History:
    """What was seen along the way: (step, mean loss), looks at the outputs, seconds."""

    losses: list[tuple[int, float]] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    seconds: float = 0.0


def train_session(model: ZooModel, folder: Path, *, line: int = 0) -> tuple[ZooDenoiser, History]:
    """Train to the end of the recipe; return the averaged denoiser and the history.

    Args:
        model: The untrained model; its network is trained in place.
        folder: Where state and saves are written; a state found there is gone on from.
        line: Line of the progress bar.
    """
    recipe, path = model.recipe, folder / "state.safetensors"
    state, history = start_training(model.denoiser, recipe), History()
    if path.is_file():
        state, history = _resume(state, path)
    watch, before, window = Stopwatch(), history.seconds, []
    with tqdm(
        total=recipe.steps, initial=state.step, desc=recipe.name, unit="step", position=line
    ) as progress:
        start = state
        for state in train(start, model.build_lesson(), recipe):
            window.append(state.loss)
            if state.step % LOSS_EVERY == 0:
                history.losses.append((state.step, round(sum(window) / len(window), 5)))
                progress.set_postfix(loss=history.losses[-1][1])
                window = []
            if state.step % recipe.watch_every == 0 or state.step == recipe.steps:
                save_weights(state.average, locate_save(folder, state.step), stored="float16")
                history.looks.append(look(model, state.average, state.step))
                history.seconds = before + watch.seconds
                _write(state, history, path)
            progress.update()
    path.unlink()
    return state.average, history


def _write(state: TrainingState, history: History, path: Path) -> None:
    told = {"history": json.dumps(vars(history))}
    write_atomic(path, save(dump_state(state), metadata=told))


def _resume(started: TrainingState, path: Path) -> tuple[TrainingState, History]:
    with safe_open(path, "pt") as file:
        told = json.loads(file.metadata()["history"])
    told["losses"] = [(step, loss) for step, loss in told["losses"]]
    return restore_state(started, load_file(path)), History(**told)
