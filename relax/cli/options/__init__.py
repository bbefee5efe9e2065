"""The options of the command: declared once, checked before a run."""

from relax.cli.options.run_options import RunOptions

__all__ = ["RunOptions"]
