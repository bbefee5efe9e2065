"""What hands calls to the workers of Parsl: ``python -m relax.campaign.engines.interchange PID``.

That of Parsl lives on when a driver is killed, and with it all workers.  This one ends with its driver, and the
workers end once they do not hear of it any more.
"""

from __future__ import annotations

import runpy
import sys

from relax.campaign.engines.parents import end_with_parent

__all__: list[str] = []

if __name__ == "__main__":
    end_with_parent(int(sys.argv.pop()))
    runpy.run_module("parsl.executors.high_throughput.interchange", run_name="__main__")
