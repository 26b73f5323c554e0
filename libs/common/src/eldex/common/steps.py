"""Named steps at which a process can be made to die, for the crash tests.

`ELDEX_KILL_AT=<step>:<n>:<file>` kills the process with SIGKILL when the step is reached for the
n-th time, once: it creates the file first, and with the file there nothing is killed any more.
Without the variable a step costs one comparison.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Literal

Step = Literal[
    "before-commit",
    "between-commit-and-publish",
    "between-publish-and-mark",
    "between-apply-and-offset",
]

_step, _, _rest = os.environ.get("ELDEX_KILL_AT", "").partition(":")
_count, _, _done = _rest.partition(":")
_left = int(_count or 1)


def reached(step: Step) -> None:
    """Tell that a step has been reached."""
    global _left  # noqa: PLW0603 - the count of the process
    if step != _step or Path(_done).exists():
        return
    _left -= 1
    if _left <= 0:
        Path(_done).touch()
        os.kill(os.getpid(), signal.SIGKILL)
