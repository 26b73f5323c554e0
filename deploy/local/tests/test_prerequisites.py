"""What a machine lacks is said in one line each, with the package to install, before anything happens."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from eldex.local.paths import LOCAL


def machine(folder: Path, **programs: str) -> Path:
    """A PATH with only these programs (each a shell script) and what the check itself needs."""
    for tool in ("sed", "head"):
        for home in ("/usr/bin", "/bin"):
            if Path(home, tool).exists() and not (folder / tool).exists():
                (folder / tool).symlink_to(Path(home, tool))
    for name, script in programs.items():
        program = folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return folder


def check(path: Path, python: str = sys.executable) -> tuple[int, list[str]]:
    done = subprocess.run(
        ["/bin/sh", str(LOCAL / "prerequisites.sh"), python],
        env=os.environ | {"PATH": str(path)},
        capture_output=True,
        check=False,
        text=True,
    )
    return done.returncode, done.stderr.splitlines()


JAVA_17 = "echo 'openjdk version \"17.0.15\" 2025-04-15' >&2"
JAVA_8 = "echo 'java version \"1.8.0_412\"' >&2"


def test_a_machine_with_everything_passes_in_silence(tmp_path: Path) -> None:
    path = machine(tmp_path, java=JAVA_17, mvn="true", make="true")
    assert check(path) == (0, [])


@pytest.mark.parametrize(
    ("programs", "package"),
    [
        ({"mvn": "true", "make": "true"}, "apt install default-jdk-headless"),
        ({"java": JAVA_8, "mvn": "true", "make": "true"}, "'java' is 1.8.0"),
        ({"java": JAVA_17, "make": "true"}, "apt install maven"),
        ({"java": JAVA_17, "mvn": "true"}, "apt install make"),
    ],
)
def test_what_is_missing_is_one_line_with_the_package(
    tmp_path: Path, programs: dict[str, str], package: str
) -> None:
    code, said = check(machine(tmp_path, **programs))
    assert code == 1
    assert len(said) == 1
    assert package in said[0]


def test_an_old_python_is_told_apart_from_none(tmp_path: Path) -> None:
    old = 'case "$2" in *platform*) echo 3.9.2;; *) exit 1;; esac'
    path = machine(tmp_path, java=JAVA_17, mvn="true", make="true", python3=old)
    assert "'python3' is 3.9.2" in check(path, "python3")[1][0]
    assert "is not there" in check(path, "python3.99")[1][0]
