"""What the commands answer, and with which exit code: to people through make, to scripts directly."""

from __future__ import annotations

import os
import subprocess

import pytest
from typer.testing import CliRunner

from eldex.local import cli
from eldex.local.paths import REPOSITORY

NOWHERE = ["--city", "659900"]
"""A city that nobody starts."""


def test_that_a_city_is_not_up_is_an_answer_and_no_error_of_make() -> None:
    asked = CliRunner().invoke(cli.app, ["status", *NOWHERE])
    assert asked.exit_code == 3
    made = subprocess.run(
        ["make", "status", f"ARGS={' '.join(NOWHERE)}"],
        cwd=REPOSITORY,
        env=os.environ | {"ELDEX_LANG": "en"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout == "The city 659900 is not up.\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["up", "--scale", "2"], "1/1000"),
        (["up", "--seed", "-3"], "greater than or equal to 0"),
        (["up", "--size", "1"], "No such option"),
    ],
)
def test_a_wrong_option_is_told_before_anything_is_started(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 2
    assert said in done.output
