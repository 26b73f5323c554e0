"""The process behind `make up`: keeps one city running until it is told to stop."""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from eldex.local.paths import put
from eldex.local.process import PartFailed, State
from eldex.local.stack import Stack

_POLL_S: Final = 0.1
_DOWN_TIMEOUT_S: Final = 60.0


class Phase(StrEnum):
    """Where a supervisor is in its life."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    DOWN = "down"
    FAILED = "failed"


@dataclass
class PartReport:
    """One part as the supervisor sees it."""

    state: State = State.STOPPED
    pid: int | None = None
    restarts: int = 0


@dataclass
class Report:
    """What `state.json` in the city's folder holds: the supervisor's view, for `up` and `status`."""

    pid: int
    phase: Phase = Phase.STARTING
    steps: list[str] = field(default_factory=list)
    """What has been done so far, in words."""
    parts: dict[str, PartReport] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    """Where it listens, whatever the environment of whoever asks says."""
    failure: str | None = None
    """Why it gave up."""


def read(root: Path) -> Report | None:
    """The report of the supervisor that runs or last ran; None where there never was one."""
    try:
        held = json.loads((root / "state.json").read_bytes())
    except FileNotFoundError:
        return None
    held["phase"] = Phase(held["phase"])
    held["parts"] = {
        name: PartReport(State(part["state"]), part["pid"], part["restarts"])
        for name, part in held["parts"].items()
    }
    return Report(**held)


def is_running(root: Path) -> bool:
    """Whether a supervisor of this city lives (it holds a lock for as long as it does)."""
    try:
        lock = os.open(root / "supervisor.lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def spawn(root: Path, command: list[str]) -> "subprocess.Popen[bytes]":
    """Start a supervisor in the background, with its output in `logs/supervisor.log`."""
    logs = root / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    (root / "state.json").unlink(missing_ok=True)
    with (logs / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "eldex.local", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def follow(root: Path, child: "subprocess.Popen[bytes] | None" = None) -> Iterator[str]:
    """The steps of a start as they are done; ends when all is ready, raises `PartFailed` if it fails.

    Without a child it is a start that somebody else has begun.
    """
    told = 0
    while True:
        ended = child.poll() is not None if child else not is_running(root)
        report = read(root)
        if report:
            yield from report.steps[told:]
            told = len(report.steps)
            if report.phase is Phase.READY:
                return
            if report.phase is Phase.FAILED:
                if child:
                    child.wait()
                raise PartFailed(report.failure or "")
        if ended:
            raise PartFailed(
                f"the supervisor ended before all was ready; see {root}/logs/supervisor.log"
            )
        time.sleep(_POLL_S)


def stop(root: Path) -> list[str]:
    """Stop a city and everything that belongs to it; what had to be killed is told, in words.

    Raises `PartFailed` when something is left that cannot be ended.
    """
    told: list[str] = []
    report = read(root)
    if is_running(root) and report:
        with contextlib.suppress(ProcessLookupError):
            os.kill(report.pid, signal.SIGTERM)
        end = time.monotonic() + _DOWN_TIMEOUT_S
        while is_running(root) and time.monotonic() < end:
            time.sleep(_POLL_S)
        if is_running(root):
            told.append(
                f"the supervisor ({report.pid}) did not end in {_DOWN_TIMEOUT_S:.0f} s: killed"
            )
            os.kill(report.pid, signal.SIGKILL)
    for pid, command in leftovers(root).items():
        told.append(f"left over and killed: {pid} {command}")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 5.0
    while left := leftovers(root):
        if time.monotonic() > end:
            raise PartFailed(f"still running and not to be killed: {left}")
        time.sleep(_POLL_S)
    return told


def leftovers(root: Path) -> dict[int, str]:
    """Processes that carry this city's mark in their environment, with their commands.

    Where there is no /proc (not Linux) nobody can be found so: empty.
    """
    mark = f"ELDEX_STACK={root}".encode()
    found: dict[int, str] = {}
    for process in Path("/proc").glob("[0-9]*"):
        # Others' processes may not be read, and any may end while it is looked at.
        with contextlib.suppress(PermissionError, FileNotFoundError, ProcessLookupError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                command = (
                    (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
                found[int(process.name)] = command[:80]
    return found


async def supervise(stack: Stack) -> Report:
    """Bring a city up, keep it up until SIGTERM or SIGINT, take it down; returns the last report."""
    root = stack.settings.root
    root.mkdir(parents=True, exist_ok=True)
    lock = os.open(root / "supervisor.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise PartFailed(f"the city in {root} is already up") from error
    report = Report(pid=os.getpid(), ports=dict(stack.settings.ports))

    def tell(phase: Phase | None = None) -> None:
        report.phase = phase or report.phase
        report.parts = {
            name: PartReport(part.state, part.pid, part.restarts)
            for name, part in stack.parts.items()
        }
        put(root / "state.json", json.dumps(asdict(report), indent=1).encode())

    def step(done: str) -> None:
        report.steps.append(done)
        tell()

    stack.on_progress = step
    for part in stack.parts.values():
        part.on_change = tell
    asked_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, asked_to_stop.set)
    try:
        tell(Phase.STARTING)
        await _up_unless_asked(stack, asked_to_stop)
        if not asked_to_stop.is_set():
            tell(Phase.READY)
            await asked_to_stop.wait()
        tell(Phase.STOPPING)
        await stack.down()
        tell(Phase.DOWN)
    except (PartFailed, OSError) as failure:
        report.failure = str(failure)
        tell(Phase.FAILED)
    finally:
        os.close(lock)
    return report


async def _up_unless_asked(stack: Stack, asked_to_stop: asyncio.Event) -> None:
    """Bring it up, but stop trying as soon as somebody asks to."""
    up = asyncio.create_task(stack.up(watch=True))
    asked = asyncio.create_task(asked_to_stop.wait())
    await asyncio.wait((up, asked), return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if not up.done():
        up.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await up
