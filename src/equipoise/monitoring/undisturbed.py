"""Look at a network in the middle of its training and leave it as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def undisturbed(network: nn.Module) -> Iterator[None]:
    """Put a network into eval mode, without gradients, and restore everything.

    Restored are the mode of every module and the random state of the processor and of the device
    the network lies on, also after an exception.
    """
    modes = [(module, module.training) for module in network.modules()]
    devices = {p.device for p in network.parameters() if p.device.type == "cuda"}
    with torch.random.fork_rng(devices=list(devices)), torch.no_grad():
        network.eval()
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training
