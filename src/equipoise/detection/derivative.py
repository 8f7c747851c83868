r"""Products of a denoiser's Jacobian `J = dD/dx` with vectors, batch by batch, without its matrix.

`J^T u` is reverse-mode differentiation: one backward pass. `J v` is the same once more, through
`u -> J^T u`, which is linear in u, because torch cannot run forward mode through every layer.
Samples do not see each other, so a batch costs what one product an item costs.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

Function = Callable[[Float[Tensor, "batch ..."]], Float[Tensor, "batch ..."]]


def pull(
    function: Function, x: Float[Tensor, "batch ..."], u: Float[Tensor, "batch ..."]
) -> tuple[Tensor, Tensor]:
    """Return `f(x)` and `J^T u`; two passes."""
    point = x.detach().requires_grad_(True)
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        value = function(point)
        (pulled,) = torch.autograd.grad(value, point, u)
    return value.detach(), pulled


def push(
    function: Function, x: Float[Tensor, "batch ..."], v: Float[Tensor, "batch ..."]
) -> Tensor:
    """Return `J v`; three passes."""
    point = x.detach().requires_grad_(True)
    # The fused kernels of attention can be differentiated once only.
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        value = function(point)
        u = torch.zeros_like(value, requires_grad=True)
        (pulled,) = torch.autograd.grad(value, point, u, create_graph=True)
        (pushed,) = torch.autograd.grad(pulled, u, v)
    return pushed
