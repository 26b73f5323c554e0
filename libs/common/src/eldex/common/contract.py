"""The whole contract, loaded: for those who handle messages of kinds they were not written for."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

import eldex.api


@cache
def load_contract() -> None:
    """Import every generated module, so that any message of the contract can be read by its name."""
    for module in pkgutil.walk_packages(eldex.api.__path__, "eldex.api."):
        if module.name.endswith("_pb2"):
            importlib.import_module(module.name)
