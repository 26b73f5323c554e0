"""The load client of the hop: ghz, in Go, so that those who call do not measure themselves.

It is built with the Go toolchain when the bench first needs it, into `var/bench/`; without Go the
figures of the hop cannot be taken, and the bench says so.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FileDescriptor

from bench.child import ROOT

VERSION: Final = "v0.120.0"
_PLACE: Final = ROOT / "var" / "bench"
_LONGEST_SECONDS: Final = 120


class NoLoadClient(Exception):
    """ghz cannot be had; the message says what to install."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a run of ghz saw."""

    codes: dict[str, int]
    """How many calls ended with each status, by ghz's names (`OK`, `ResourceExhausted`)."""
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def answered(self) -> int:
        """Calls that were answered with what was asked."""
        return self.codes.get("OK", 0)

    @property
    def per_second(self) -> float:
        """The same, in a second."""
        return self.answered / self.seconds


async def installed() -> Path:
    """The binary; built if it is not there."""
    binary = _PLACE / f"ghz-{VERSION}"
    if binary.exists():
        return binary
    if shutil.which("go") is None:
        raise NoLoadClient("the figures of the hop need Go 1.21 or later to build ghz: install it")
    print(f"building ghz {VERSION} into {_PLACE.relative_to(ROOT)} (once; some minutes)")
    cache = ROOT / "var" / "cache"
    env = {
        **os.environ,
        "GOBIN": str(_PLACE),
        "GOCACHE": str(cache / "go"),
        "GOPATH": str(cache / "gopath"),
        "GOFLAGS": "-modcacherw",
    }
    command = ("go", "install", f"github.com/bojand/ghz/cmd/ghz@{VERSION}")
    building = await asyncio.create_subprocess_exec(*command, env=env)
    if await building.wait():
        raise NoLoadClient(f"`{' '.join(command)}` failed; what it said stands above")
    (_PLACE / "ghz").rename(binary)
    return binary


def protoset(file: FileDescriptor, path: Path) -> Path:
    """Write a file of the contract with all that it imports, in the form that ghz reads."""
    found: dict[str, FileDescriptor] = {}

    def add(each: FileDescriptor) -> None:
        if each.name not in found:
            for needed in each.dependencies:
                add(needed)
            found[each.name] = each

    add(file)
    files = descriptor_pb2.FileDescriptorSet()
    for each in found.values():
        each.CopyToProto(files.file.add())
    path.write_bytes(files.SerializeToString())
    return path


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who calls one method with one certificate."""

    binary: Path
    protoset: Path
    call: str
    data: Path
    """A file with a list of requests, sent in turn."""

    async def run(
        self,
        target: str,
        tls: Path,
        how: Sequence[str],
        metadata: dict[str, str],
    ) -> Load:
        """Call; `how` are the options of ghz that say how many and how fast."""
        options = {
            "--protoset": self.protoset,
            "--call": self.call,
            "--data-file": self.data,
            "--cacert": tls / "ca.pem",
            "--cert": tls / "cert.pem",
            "--key": tls / "key.pem",
            "--cname": "localhost",
            "--metadata": json.dumps(metadata),
            "--format": "json",
        }
        words = [str(word) for pair in options.items() for word in pair]
        process = await asyncio.create_subprocess_exec(
            self.binary, *words, *how, target, stdout=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                told, _ = await process.communicate()
        except BaseException:
            process.kill()
            await process.wait()
            raise
        return _load(json.loads(told))


def _load(told: dict[str, Any]) -> Load:
    at = {each["percentage"]: each["latency"] / 1e6 for each in told["latencyDistribution"] or ()}
    codes = told["statusCodeDistribution"]
    return Load(codes, told["total"] / 1e9, at.get(50, 0.0), at.get(99, 0.0))
