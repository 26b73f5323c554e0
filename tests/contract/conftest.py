"""What the tests of the contract share: the contract as it is, and small broken ones to prove that the rules bite."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROTO = Path(__file__).resolve().parents[2] / "proto"
# The workshop of the contract is not installed; it lies beside the contract.
sys.path.insert(0, str(PROTO))

from tools.compiler import compile_image  # noqa: E402
from tools.contract import Contract  # noqa: E402
from tools.layout import Layout  # noqa: E402
from tools.topics import Topic, load_topics  # noqa: E402


@pytest.fixture(scope="session")
def layout() -> Layout:
    """Where the contract of this house lies."""
    return Layout(PROTO)


@pytest.fixture(scope="session")
def contract(layout: Layout) -> Contract:
    """The contract of this house, compiled from its sources."""
    return Contract(compile_image(layout))


@pytest.fixture(scope="session")
def topics(layout: Layout) -> dict[str, Topic]:
    """The topics of this house."""
    return load_topics(layout.topics)


@pytest.fixture
def sample(tmp_path: Path) -> Layout:
    """An empty contract in a folder of its own, with the house's settings of buf."""
    made = Layout(tmp_path / "proto")
    made.sources.mkdir(parents=True)
    made.topics.mkdir()
    made.examples.mkdir()
    made.buf_config.write_text((PROTO / "buf.yaml").read_text("utf-8"), "utf-8")
    return made


@pytest.fixture
def contract_of(sample: Layout) -> Callable[[str], Contract]:
    """Compiles a registry contract from the lines of one .proto file, which is an events file."""

    def compile_lines(lines: str) -> Contract:
        write_proto(sample, "registry/v1/resident_events.proto", lines)
        return Contract(compile_image(sample))

    return compile_lines


def write_proto(layout: Layout, name: str, lines: str) -> Path:
    """Writes a .proto file below eldex/api with the package that its folder demands."""
    path = layout.sources / name
    path.parent.mkdir(parents=True, exist_ok=True)
    package = "eldex.api." + ".".join(name.split("/")[:-1])
    path.write_text(f'syntax = "proto3";\n\npackage {package};\n\n{lines.lstrip()}', "utf-8")
    return path
