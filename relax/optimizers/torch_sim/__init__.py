"""The rules as optimizers of torch-sim."""

from relax.optimizers.torch_sim.steps import for_torch_sim

__all__ = ["for_torch_sim"]
