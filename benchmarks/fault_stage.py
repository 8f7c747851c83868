"""A small audit, and points inside every write at which something can go wrong.

The model is a layer of 32 units on 8 x 8 pictures: what is tested is the writing, so the scoring
should cost nothing. A child process stands for a process that dies; it is forked, because
importing torch takes longer than the audit.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from equipoise.auditing import pile, prevalence
from equipoise.auditing.job import Audit, run_audit
from equipoise.denoisers import wrap
from equipoise.detection import build_default, calibrate_scores
from equipoise.images import as_unit, content_ids
from equipoise.runs import Run


def build_audit(folder: Path, *, num_images: int = 60, part: int = 20) -> Audit:
    """Build an audit of random pictures, in parts of `part` items."""
    pile.PART, prevalence.DRAWS = part, 1000
    torch.set_num_threads(1)  # before the first fork, so that no thread is left behind
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.ReLU(),
                                  torch.nn.Linear(32, 64))  # fmt: skip
    model = wrap(
        network.requires_grad_(False), sample_shape=(1, 8, 8), data_std=0.5,
        call=lambda net, x, sigma: net(x).reshape(x.shape), sites=("3:in",),
    )  # fmt: skip
    pictures = torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (num_images, 1, 8, 8), dtype=np.uint8)
    )
    detector = build_default(model)
    scores = detector.score(model, as_unit(pictures), content_ids(pictures)).values
    calibration = calibrate_scores(detector, model, scores, pictures, fpr=0.05, null="own outputs")
    folder.mkdir(parents=True)
    for index, picture in enumerate(pictures):
        Image.fromarray(picture[0].numpy()).save(folder / f"{index:04d}.png")
    return Audit(
        model=model, name="small", calibration=calibration, calibration_name="small",
        pile=pile.PicturePile(folder, (1, 8, 8)),
    )  # fmt: skip


@dataclass
class Points:
    """Counts the points that writing passes, and acts at one of them; each names what was done."""

    act: Callable[[], Any] = lambda: None
    at: int = -1
    """Number of the point, from 0; -1 = only count."""
    passed: list[str] = field(default_factory=list)

    def pass_(self, name: str) -> None:
        """Note a point, and act if it is the one."""
        self.passed.append(name)
        if len(self.passed) - 1 == self.at:
            self.act()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Put the points into what `equipoise.runs.atomic` calls."""
        open_, replace, fsync = Path.open, Path.replace, os.fsync

        def open_counted(path: Path, mode: str = "r", **words: Any) -> Any:  # noqa: ANN401
            file = open_(path, mode, **words)
            if mode == "wb":
                self.pass_("open")
                write = file.write
                return _Counted(file, lambda content: self._write(file, write, content))
            return file

        def replace_counted(path: Path, target: Path) -> Path:
            found = replace(path, target)
            self.pass_("renamed")
            return found

        def fsync_counted(descriptor: int) -> None:
            fsync(descriptor)
            self.pass_("flushed")

        with (
            patch.object(Path, "open", open_counted),
            patch.object(Path, "replace", replace_counted),
            patch.object(os, "fsync", fsync_counted),
        ):
            yield

    def _write(self, file: Any, write: Callable[[bytes], int], content: bytes) -> int:  # noqa: ANN401
        half = len(content) // 2
        write(content[:half])
        file.flush()
        self.pass_("half written")
        written = half + write(content[half:])
        file.flush()
        self.pass_("written")
        return written


@dataclass
class _Counted:
    """A file whose `write` is another."""

    file: Any
    write: Callable[[bytes], int]

    def __enter__(self) -> "_Counted":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self.file, name)


def kill_self() -> NoReturn:
    """Die as a process dies that is killed: nothing is cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def run_child(work: Callable[[], Any]) -> int:
    """Do something in a forked process; return its exit code, minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 2)  # progress bars
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def count_points(audit: Audit, out: Path) -> list[str]:
    """Name all points that an unbroken audit passes."""
    points = Points()
    with points.installed():
        run_audit(audit, out)
    return points.passed


def read_rows(run: Run) -> pa.Table:
    """Read all rows as one chunk a column, to compare them."""
    return run.read_items().combine_chunks()
