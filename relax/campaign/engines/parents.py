"""Processes that end with the one which has started them, also where that is killed."""

from __future__ import annotations

import os
import threading
import time

__all__ = ["end_with_parent"]

LOOK_EVERY = 1.0
"""Seconds between two looks at whether the parent is still there."""


def end_with_parent(parent: int) -> None:
    """End this process once its parent, of the id ``parent``, has ended."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_EVERY)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
