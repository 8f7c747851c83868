"""The tiny models in diffusers' formats, shared with the tests of the denoisers."""

import importlib.util
from pathlib import Path

HOME = Path(__file__).parent.parent / "denoisers" / "conftest.py"
_spec = importlib.util.spec_from_file_location("tiny_diffusers", HOME)
tiny_diffusers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tiny_diffusers)
pipeline, scheduler, vae = (
    tiny_diffusers.pipeline,
    tiny_diffusers.scheduler,
    tiny_diffusers.vae,
)
