"""In the place of the package that ``janus geomopt --arch grace`` imports."""

__version__ = "0"
