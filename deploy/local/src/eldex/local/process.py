"""One part of the city as a child process: started, waited for, watched, stopped, killed."""

import asyncio
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Final, Self

Probe = Callable[[], Awaitable[bool]]
"""Answers whether a part does its work now; False or an OSError means "not yet"."""

_LOG_LIMIT_BYTES: Final = 32 * 1024 * 1024
"""A log larger than this is set aside (one generation) when its part starts."""

_POLL_S: Final = 0.05
RESTART_DELAYS_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_STEADY_S: Final = 30.0
"""A part that ran this long has recovered: its next death is answered quickly again."""


class State(StrEnum):
    """What a part is doing."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    DEAD = "dead"
    """It ended by itself; when watched, it is started again after a pause."""


class PartFailed(Exception):
    """A part did not come up; the message names it, says why, and shows the end of its log."""


class Process:
    """A child in a process group of its own, with a log file and a probe that tells when it is ready.

    It is not tied to an event loop: one loop may start it and another stop it. Where util-linux has
    `setpriv` (Linux), the child is killed when the *thread* that started it ends, however it ends, so
    that no crash of a supervisor or a test run leaves anything behind: start it from the main thread.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        log: Path,
        ready: Probe,
        env: Mapping[str, str] | None = None,
        ready_timeout_s: float = 240.0,
        stop_timeout_s: float = 20.0,
        restart_delays_s: Sequence[float] = RESTART_DELAYS_S,
    ) -> None:
        """Describe the part; nothing is started. `env` is the child's whole environment."""
        self.name = name
        self.argv = list(argv)
        self.log = log
        self.env = dict(os.environ if env is None else env)
        """The environment of the next start: change it and restart to change the part."""
        self.state = State.STOPPED
        self.restarts = 0
        """How often the watcher has started it again."""
        self._ready = ready
        self._ready_timeout_s = ready_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self.restart_delays_s = restart_delays_s
        """How long the watcher waits before the first, second, … start again in a row."""
        self._child: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self._watcher: asyncio.Task[None] | None = None
        self._became_ready = asyncio.Event()
        self.on_change: Callable[[], None] = lambda: None
        """Called after every change of state."""

    @property
    def pid(self) -> int | None:
        """The process id while the child runs."""
        return self._child.pid if self._child and self._child.poll() is None else None

    async def start(self) -> None:
        """Start the child and return when its probe says yes; raises `PartFailed` and stops it if not."""
        if self.pid is not None:
            raise RuntimeError(f"{self.name} is already running")
        self._spawn()
        try:
            await self._wait_for_probe()
        except BaseException:
            await self._end(signal.SIGKILL)
            self._enter(State.STOPPED)
            raise

    async def stop(self) -> None:
        """End the child in its own time (SIGTERM), and with SIGKILL when that runs out; stops watching."""
        await self._unwatch()
        await self._end(signal.SIGTERM)
        self._enter(State.STOPPED)

    async def kill(self) -> None:
        """End the child as a power cut would (SIGKILL to its group); returns when it is gone.

        A watched part comes back by itself (`wait_ready`); for one that is not, call `start` again.
        """
        self._became_ready.clear()
        await self._end(signal.SIGKILL)
        if self._watcher is None:
            self._enter(State.DEAD)

    async def wait_ready(self) -> None:
        """Wait until a watched part is ready (again)."""
        await self._became_ready.wait()

    def watch(self) -> None:
        """From now on start the child again whenever it ends by itself, ever more slowly if it keeps ending."""
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._keep_alive(), name=f"watch {self.name}")

    def tail(self, lines: int = 25) -> str:
        """The last lines that this run of the child has written to its log."""
        with contextlib.suppress(FileNotFoundError), self.log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self._log_start, size - 64 * 1024))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
        return ""

    async def __aenter__(self) -> Self:
        """Start it, for the length of a block."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        await self.stop()

    def _enter(self, state: State) -> None:
        self.state = state
        if state is State.READY:
            self._became_ready.set()
        else:
            self._became_ready.clear()
        self.on_change()

    def _spawn(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_suffix(".1.log"))
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            try:
                self._child = subprocess.Popen(
                    [*_tether(), *self.argv],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self.env,
                    start_new_session=True,
                )
            except OSError as error:
                raise PartFailed(f"{self.name} could not be started: {error}") from error
        self._enter(State.STARTING)

    async def _wait_for_probe(self) -> None:
        assert self._child is not None
        began = time.monotonic()
        while True:
            code = self._child.poll()
            spent_s = time.monotonic() - began
            if code is not None:
                how = f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"
                raise PartFailed(self._explain(f"ended with {how} {spent_s:.1f} s after its start"))
            if spent_s > self._ready_timeout_s:
                said = f"was not ready after {self._ready_timeout_s:.0f} s (the same command tries again)"
                raise PartFailed(self._explain(said))
            with contextlib.suppress(OSError, TimeoutError):
                # A child that dies here shows as one that is not ready, and next time round as dead.
                if await asyncio.wait_for(self._ready(), 5.0) and self._child.poll() is None:
                    return self._enter(State.READY)
            await asyncio.sleep(_POLL_S)

    def _explain(self, what: str) -> str:
        shown = self.tail()
        end = (
            f"the end of its log ({self.log}):\n{shown}"
            if shown
            else f"its log ({self.log}) is empty"
        )
        return f"{self.name} {what}; {end}"

    async def _end(self, how: signal.Signals) -> None:
        child = self._child
        if child is None or child.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, how)
        try:
            await asyncio.wait_for(_exit_of(child), self._stop_timeout_s)
        except TimeoutError:
            # Not lost: what it should have drained is what crash safety is for.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await _exit_of(child)

    async def _unwatch(self) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)

    async def _keep_alive(self) -> None:
        deaths = 0
        while True:
            assert self._child is not None
            began = time.monotonic()
            code = await _exit_of(self._child)
            self._enter(State.DEAD)
            deaths = 1 if time.monotonic() - began > _STEADY_S else deaths + 1
            delays = self.restart_delays_s
            delay = delays[min(deaths, len(delays)) - 1]
            how = signal.Signals(-code).name if code < 0 else f"code {code}"
            at = datetime.now(UTC).isoformat(timespec="seconds")
            print(f"{at} {self.name} ended ({how}); started again in {delay:g} s", flush=True)
            await asyncio.sleep(delay)
            self.restarts += 1
            try:
                self._spawn()
                await self._wait_for_probe()
            except PartFailed as failure:
                print(f"{failure}\n{self.name} is started again", flush=True)
                await self._end(signal.SIGKILL)


async def _exit_of(child: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a child without polling, from any event loop."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def tell(code: int) -> None:
        if not ended.done():
            ended.set_result(code)

    def wait() -> None:
        code = child.wait()
        if not ended.cancelled():
            # A loop that closed without waiting for us has nobody left to tell.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(tell, code)

    # Not the loop's executor: it has few threads, and one waits here for as long as the child lives.
    threading.Thread(target=wait, name=f"wait for {child.pid}", daemon=True).start()
    return await ended


@functools.cache
def _tether() -> tuple[str, ...]:
    """The command prefix that ties a child's life to the thread that starts it, where there is one."""
    setpriv = shutil.which("setpriv")
    prefix = (setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()
    works = (
        prefix
        and subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    )
    return prefix if works else ()


async def answers_http(port: int, path: str) -> bool:
    """Whether `GET path` on a loopback port is answered with 200."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        status = await reader.readline()
    finally:
        writer.close()
    return status.split(b" ")[1:2] == [b"200"]
