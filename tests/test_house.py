"""What the import contracts cannot say about the house."""

from __future__ import annotations

import ast
import configparser
import importlib
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from eldex.common.errors import AlreadyExists
from eldex.common.store import Repository

ROOT = Path(__file__).parents[1]
SERVICES = sorted(p.name for p in (ROOT / "services").iterdir() if (p / "src").is_dir())
MOST_LINES, MOST_LINES_OF_TESTS = 400, 500
LONGER_FOR_A_REASON: dict[str, str] = {}


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = listed.stdout.decode().split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_the_same_rooms_and_is_deployed(service: str) -> None:
    folder = ROOT / "services" / service
    source = folder / "src" / "eldex" / service
    assert (folder / "README.md").stat().st_size > 200
    assert (folder / "pyproject.toml").is_file()
    assert (source / "py.typed").is_file()
    assert (source / "main.py").is_file()
    assert list((folder / "tests").glob("test_*.py"))
    for room in ("domain", "handlers"):
        assert (source / f"{room}.py").is_file() or (source / room).is_dir(), room
    assert (ROOT / "deploy" / "k8s" / "base" / f"{service}.yaml").is_file()
    skaffold = yaml.safe_load((ROOT / "skaffold.yaml").read_text())
    images = [artifact["image"] for artifact in skaffold["build"]["artifacts"]]
    assert any(image.endswith(service) for image in images)
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    assert f"eldex.{service}" in contracts["importlinter:contract:rooms"]["containers"]
    assert f"eldex.{service}" in contracts["importlinter:contract:floors"]["layers"]


def test_whoever_breaks_a_unique_index_is_told_what_exists_and_what_to_do() -> None:
    for service in SERVICES:
        importlib.import_module(f"eldex.{service}.main")
    kept = [
        (repository, index)
        for repository in Repository.__subclasses__()
        if repository.__module__.split(".")[1] in SERVICES
        for index in repository.indexes
        if index.unique
    ]
    assert len({repository.__module__.split(".")[1] for repository, _ in kept}) >= 6
    for repository, index in kept:
        assert index.taken is not AlreadyExists, f"{repository.__name__}: {index.name}"


def test_no_tests_folder_is_a_package() -> None:
    # With two of them pytest silently runs the wrong tests.
    assert [p for p in tracked() if p.name == "__init__.py" and "tests" in p.parts] == []


def test_no_file_outgrows_a_screenful_of_ideas() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in tracked()
        if path.suffix == ".py" and "gen" not in path.parts
        if (count := path.read_text().count("\n"))
        > (MOST_LINES_OF_TESTS if "tests" in path.parts else MOST_LINES)
    }
    assert set(long) <= set(LONGER_FOR_A_REASON), long


def test_every_event_is_told_by_somebody_and_every_consumer_exists() -> None:
    for path in (ROOT / "proto" / "topics").glob("*.yaml"):
        topic = yaml.safe_load(path.read_text())
        service = ROOT / "services" / topic["producer"] / "src"
        source = "".join(path.read_text() for path in service.rglob("*.py"))
        for event in topic["events"]:
            name = event.rsplit(".", 1)[-1]
            # Built somewhere: that the class is there does not tell that it ever happens.
            assert re.search(rf"(?<!class )\b{name}\(", source), f"{event} is told by nobody"
        assert set(topic["consumers"]) <= set(SERVICES)


def test_what_is_shipped_imports_only_what_its_image_installs() -> None:
    def normal(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    pinned = (ROOT / "requirements" / "runtime.txt").read_text()
    installed = {normal(name) for name in re.findall(r"^([\w.-]+)==", pinned, re.MULTILINE)}
    brought_by = packages_distributions()
    for path in tracked():
        if path.suffix != ".py" or "src" not in path.parts or "deploy" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names.append(node.module or "")
            for top in {name.partition(".")[0] for name in names} - {"eldex"}:
                distributions = {normal(name) for name in brought_by.get(top, [])}
                shipped = top in sys.stdlib_module_names or distributions & installed
                assert shipped, f"{path.relative_to(ROOT)} imports {top}"


def test_the_project_speaks_of_itself_alone() -> None:
    path_of_a_machine = re.compile(rb"(^|[^a-zA-Z_.])/(work|farm|root)/")
    registries = re.compile(
        rb"files\.pythonhosted\.org|pypi\.org/simple|registry\.npmjs\.org|repo1?\.maven\.org|"
        rb"proxy\.golang\.org|deb\.debian\.org"
    )
    for path in tracked():
        data = path.read_bytes()
        if path == Path(__file__):
            continue
        name = path.relative_to(ROOT)
        assert not path_of_a_machine.search(data), name
        assert not registries.search(data), name


def test_links_in_the_documents_lead_somewhere() -> None:
    for path in tracked():
        if path.suffix != ".md":
            continue
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text()):
            if "://" not in target:
                assert (path.parent / target).exists(), f"{path.relative_to(ROOT)} → {target}"


def test_nothing_is_left_as_a_stub() -> None:
    stub = re.compile(
        r"NotImplementedError|\bTODO\b|\bFIXME\b|except( Exception)?:\s*(pass)?$", re.MULTILINE
    )
    for path in tracked():
        if path.suffix == ".py" and "gen" not in path.parts and path != Path(__file__):
            assert not stub.search(path.read_text()), path.relative_to(ROOT)
