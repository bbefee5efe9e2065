"""The command ``ase`` with the stand-in among the calculators that it knows by name."""

from __future__ import annotations

from ase.calculators.calculator import register_calculator_class
from ase.cli.main import main
from stand_in import StandIn

if __name__ == "__main__":
    register_calculator_class("stand_in", StandIn)
    main()
