"""What would be deployed is checked before it can hurt: each fixture is the real thing with one defect."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CHECK = HERE.parent / "check.py"
FIXTURES = sorted(path.parent for path in HERE.glob("fixtures/*/expected.txt"))
OPTIONS = {
    "kustomization.yaml": "--overlay",
    "skaffold.yaml": "--skaffold",
    "Dockerfile": "--dockerfile",
}


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(CHECK), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def arguments_for(fixture: Path) -> list[str]:
    for name, option in OPTIONS.items():
        if (fixture / name).exists():
            return [option, str(fixture if option == "--overlay" else fixture / name)]
    raise AssertionError(f"{fixture} has none of {', '.join(OPTIONS)}")


def test_what_the_project_deploys_is_sound_and_known_quickly() -> None:
    began = time.monotonic()
    done = check()
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "sound" in done.stdout
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.name)
def test_a_defect_is_refused_and_named(fixture: Path) -> None:
    done = check(*arguments_for(fixture))
    assert done.returncode == 1
    assert done.stderr == ""
    expected = (fixture / "expected.txt").read_text(encoding="utf-8").splitlines()
    assert done.stdout.splitlines() == expected


def test_every_fixture_says_what_it_expects() -> None:
    folders = {path for path in HERE.glob("fixtures/*") if path.is_dir()}
    assert folders == set(FIXTURES)
