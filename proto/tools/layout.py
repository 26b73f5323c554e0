"""Where everything of the contract lies, and the one error that the workshop reports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PACKAGE = "eldex.api"
"""The proto package below which every package of ours lies; also the folder and the Python import path."""


class ContractError(Exception):
    """What is wrong with the contract, in lines that each say what to mend."""

    def __init__(self, *findings: str) -> None:
        super().__init__("\n".join(findings))
        self.findings = findings


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders and files of one contract; `root` is the folder that holds `eldex/api` and `topics`."""

    root: Path

    @property
    def sources(self) -> Path:
        """The folder of the .proto files."""
        return self.root / "eldex" / "api"

    @property
    def topics(self) -> Path:
        """The folder of the topic files."""
        return self.root / "topics"

    @property
    def examples(self) -> Path:
        """The folder of the golden messages."""
        return self.root / "examples"

    @property
    def generated(self) -> Path:
        """The import root of the generated code."""
        return self.root / "gen"

    @property
    def buf_config(self) -> Path:
        """The settings of buf."""
        return self.root / "buf.yaml"

    @property
    def collected_twice(self) -> Path:
        """What is asked for although another department holds it, with the reasons."""
        return self.root / "collected-twice.yaml"

    @property
    def released(self) -> Path:
        """The descriptor image of the last released contract."""
        return self.root / "released" / "eldex.binpb"

    @property
    def asyncapi(self) -> Path:
        """The generated AsyncAPI document."""
        return self.root / "docs" / "asyncapi.yaml"

    @property
    def reference(self) -> Path:
        """The generated reference of the gRPC services."""
        return self.root.parent / "docs" / "reference" / "grpc.md"

    def proto_files(self) -> list[str]:
        """All .proto files, as the names that imports use, in a stable order."""
        found = sorted(
            path.relative_to(self.root).as_posix() for path in self.sources.rglob("*.proto")
        )
        if not found:
            raise ContractError(
                f"{self.sources}: no .proto file; expected eldex/api/<service>/v1/*.proto"
            )
        return found
