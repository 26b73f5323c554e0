"""The official conformance suite of CloudEvents SQL 1.0.0, all of it, where it is at hand.

It is not ours and not kept here: put the files `cesql/cesql_tck/*.yaml` of the CloudEvents
specification (github.com/cloudevents/spec, tag `cesql@v1.0.0`, Apache-2.0) into `var/cesql_tck`, or
name another folder in `ELDEX_CESQL_TCK`. What it asks is asked in our own words, and more, by
`test_cesql_semantics.py`, which always runs.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from eldex.exchange.domain.cesql.errors import FilterInvalid
from eldex.exchange.domain.cesql.filters import Filter

ROOT = Path(__file__).parents[3]
FOLDER = Path(os.environ.get("ELDEX_CESQL_TCK", ROOT / "var" / "cesql_tck"))

EVENT = {"specversion": "1.0", "id": "1", "source": "/a-department", "type": "something.happened"}

AGAINST_THE_TEXT = {
    ("not_operator", "Invalid int cast"): (
        "it wants NOT 10 to be a CastError with the value true; since the table of casts got "
        "Integer -> Boolean (MUST, §3.7) 10 is true and NOT 10 false, without an error; the suite "
        "itself wants BOOL(10) so, and the Go SDK mended its copy"
    ),
}


class _Loader(yaml.SafeLoader):
    """Reads instants as the strings that they are in an event."""


_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def cases() -> list[Any]:
    found = []
    for path in sorted(FOLDER.glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        plain = yaml.load(text, yaml.BaseLoader)["tests"]
        for case, as_text in zip(yaml.load(text, _Loader)["tests"], plain, strict=True):
            # `expression: TRUE` is a word of the language, and no boolean of YAML.
            case["expression"] = as_text["expression"]
            why = AGAINST_THE_TEXT.get((path.stem, case["name"]))
            marks = [pytest.mark.xfail(reason=why, strict=True)] if why else []
            found.append(pytest.param(case, id=f"{path.stem}: {case['name']}", marks=marks))
    return found


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the suite is not kept here: see the module's page")
@pytest.mark.parametrize("case", cases())
def test_conforms(case: dict[str, Any]) -> None:
    if case.get("error") == "parse":
        with pytest.raises(FilterInvalid):
            Filter.parse(case["expression"])
        return
    attributes = case.get("event") or EVENT | case.get("eventOverrides", {})
    value, error = Filter.parse(case["expression"]).evaluate(attributes)
    assert (type(value), value) == (type(case["result"]), case["result"])
    assert (error.reason if error else None) == case.get("error")
