"""A process dies where it is told to, by SIGKILL, once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

STORY = """
from eldex.common import steps
for act in range(5):
    print("act", act, flush=True)
    steps.reached("before-commit")
    steps.reached("between-apply-and-offset")
"""


def told(kill_at: str | None) -> tuple[int, int]:
    """How a process that goes through five acts ends, and how many it began."""
    env = {name: value for name, value in os.environ.items() if name != "ELDEX_KILL_AT"}
    if kill_at is not None:
        env["ELDEX_KILL_AT"] = kill_at
    done = subprocess.run(
        [sys.executable, "-c", STORY], env=env, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout.count("act")


def test_without_being_told_nobody_dies() -> None:
    assert told(None) == (0, 5)


def test_a_process_dies_at_the_nth_time_and_not_again_after_its_restart(tmp_path: Path) -> None:
    done = tmp_path / "killed"
    order = f"before-commit:3:{done}"
    assert told(order) == (-signal.SIGKILL, 3)
    assert done.exists()
    assert told(order) == (0, 5)


def test_a_step_that_is_not_reached_kills_nobody(tmp_path: Path) -> None:
    assert told(f"between-publish-and-mark:1:{tmp_path / 'killed'}") == (0, 5)
