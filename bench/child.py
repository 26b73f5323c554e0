"""A helper process and the line between it and the bench: one JSON object per line, question and answer.

A child ends when its standard input does, so nothing is left behind when the bench is killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
_LONGEST_LINE = 64 * 1024 * 1024

Job = dict[str, Any]


class Child:
    """The bench's end: starts the module, asks it to do jobs."""

    def __init__(
        self,
        module: str,
        *args: str,
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        self.module, self._args, self._env, self._log = module, args, env or {}, log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    async def __aenter__(self) -> Self:
        """Start it; returns when it says that it is ready."""
        log = self._log.open("ab") if self._log else None
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", self.module, *self._args),
            cwd=ROOT,
            env={**os.environ, **self._env},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            limit=_LONGEST_LINE,
        )
        if log:
            log.close()
        await self._answer()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let it end, by closing its input."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def ask(self, **job: Any) -> Job:
        """Have a job done; its result."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        return await self._answer()

    async def _answer(self) -> Job:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            said = self._log.read_text("utf-8", "replace")[-2_000:] if self._log else ""
            code = await self._process.wait()
            raise ChildEnded(f"{self.module} ended with code {code}; {said}")
        answer: Job = json.loads(line)
        return answer


class ChildEnded(Exception):
    """A helper process ended before it was told to; what it said stands above, on standard error."""


async def serve(do: Callable[[Job], Awaitable[Job]]) -> None:
    """The child's end: do one job after the other until the input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    _say({"ready": True})
    while line := await reader.readline():
        _say(await do(json.loads(line)))


def _say(answer: Job) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
