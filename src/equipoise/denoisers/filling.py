"""Fill a network from named tensors, strictly."""

from torch import Tensor, nn

from equipoise.denoisers.protocol import check_finite_weights
from equipoise.errors import BadInputError, quote


def fill(network: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Put tensors into a network that was built without memory: all of them, and no others.

    Raises:
        BadInputError: naming the first tensors that are missing, unknown or of another shape.
        NonFiniteError: when a weight is NaN or infinite.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if wanted != given:
        names = sorted({*wanted.items()} ^ {*given.items()})
        listed = ", ".join(f"{quote(name)} {shape}" for name, shape in names[:3])
        raise BadInputError(
            f"The file does not hold the weights of this {type(network).__name__}: {len(names)} "
            f"names and shapes differ, {listed}."
        )
    network.load_state_dict({n: t.float() for n, t in tensors.items()}, assign=True)
    network.requires_grad_(False).eval()
    check_finite_weights(network)
