"""The hub above the city by way of its front-end machine (前置机): a folder that it collects from."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path


class HubFolder:
    """Puts the catalogue where the hub takes it from; never half of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def submit(self, document: bytes) -> str:
        """Put it there under the name of its content; the same one again changes nothing."""
        return await asyncio.to_thread(self._put, document)

    def _put(self, document: bytes) -> str:
        name = f"catalogue-{hashlib.sha256(document).hexdigest()[:16]}.json"
        target = self._folder / name
        if not target.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(".partial")
            with partial.open("wb") as file:
                file.write(document)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(target)
        return name
