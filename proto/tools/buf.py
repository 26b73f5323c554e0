"""buf's judgement of the contract: style and comments, format, and whether a reader of the last release would break."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tools.layout import ContractError, Layout

_FOUND_SOMETHING = 100
"""buf's exit code for "it works, and something is to be said"; any other but 0 means that buf itself failed."""


def lint_findings(layout: Layout, image: FileDescriptorSet) -> list[str]:
    """What breaks buf's STANDARD style, and what has no comment; one line each with file and position."""
    with TemporaryDirectory(prefix="eldex-buf-") as folder:
        file = _write(folder, "contract.binpb", image)
        return _buf(layout, ["lint", str(file), "--config", str(layout.buf_config)])


def format_findings(layout: Layout) -> list[str]:
    """The files that `buf format` would write differently."""
    lines = _buf(layout, ["format", ".", "--path", "eldex", "--diff", "--exit-code"])
    names = [line.split("\t")[0].removeprefix("+++ ") for line in lines if line.startswith("+++ ")]
    if lines and not names:
        return lines
    return [f"{name}: not formatted; run `python proto/build.py format`" for name in names]


def reformat(layout: Layout) -> None:
    """Writes every .proto file in buf's format."""
    findings = _buf(layout, ["format", ".", "--path", "eldex", "--write"])
    if findings:
        raise ContractError(*findings)


def breaking_findings(layout: Layout, image: FileDescriptorSet) -> list[str]:
    """What a reader of the released contract could no longer read or call."""
    if not layout.released.is_file():
        return [
            f"{layout.released}: no released contract to compare with; run `python proto/build.py release` once"
        ]
    with TemporaryDirectory(prefix="eldex-buf-") as folder:
        file = _write(folder, "contract.binpb", image)
        options = ["--against", str(layout.released), "--config", str(layout.buf_config)]
        return _buf(layout, ["breaking", str(file), *options])


def _write(folder: str, name: str, image: FileDescriptorSet) -> Path:
    file = Path(folder) / name
    file.write_bytes(image.SerializeToString(deterministic=True))
    return file


def _buf(layout: Layout, arguments: Sequence[str]) -> list[str]:
    executable = Path(sys.executable).parent / "buf"
    if not executable.is_file():
        raise ContractError(f"{executable}: buf is not installed; run `make setup`")
    with TemporaryDirectory(prefix="eldex-buf-cache-") as cache:
        result = subprocess.run(
            [str(executable), *arguments],
            cwd=layout.root,
            env={**os.environ, "BUF_CACHE_DIR": cache},
            capture_output=True,
            text=True,
            check=False,
        )
    if result.returncode not in (0, _FOUND_SOMETHING):
        raise ContractError(
            *(f"buf {arguments[0]}: {line}" for line in result.stderr.strip().splitlines())
        )
    return result.stdout.splitlines() if result.returncode else []
