"""The whole contract, loaded: for those who handle messages of kinds they were not written for."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path

import eldex.api


@cache
def load_contract() -> None:
    """Import every generated module, so that any message of the contract can be read by its name."""
    for root in eldex.api.__path__:
        for path in sorted(Path(root).rglob("*_pb2.py")):
            inner = path.relative_to(root).with_suffix("")
            importlib.import_module(".".join(("eldex.api", *inner.parts)))
