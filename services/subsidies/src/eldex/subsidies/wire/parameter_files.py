"""The schemes and parameters that come with the service, as YAML beside the code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from typing import Any

import yaml
from cattrs import Converter, transform_error

from eldex.common.errors import CannotStart
from eldex.common.identifiers import RegionCode
from eldex.subsidies.domain.schemes import Catalogue, Scheme, Version
from eldex.subsidies.handlers.parameters import SetParameters

_converter = Converter(forbid_extra_keys=True)
_converter.register_structure_hook(date, lambda text, _: date.fromisoformat(text))


@dataclass(frozen=True, slots=True)
class ParameterFiles:
    """What the files say."""

    catalogue: Catalogue
    seeds: tuple[SetParameters, ...]


def load(texts: Iterable[tuple[str, str]] | None = None) -> ParameterFiles:
    """Read the files (name, text); raises `CannotStart` naming the file and what is wrong in it."""
    schemes: list[Scheme] = []
    seeds: list[SetParameters] = []
    for name, text in sorted(_shipped() if texts is None else texts):
        try:
            scheme, versions = _read(yaml.safe_load(text))
        except Exception as error:
            # Whatever a hand-written file may hold: the operator is told where to look.
            problem = "; ".join(transform_error(error))
            raise CannotStart(f"parameters/{name}: {problem}") from error
        schemes.append(scheme)
        seeds += versions
    return ParameterFiles(Catalogue(schemes), tuple(seeds))


def _shipped() -> list[tuple[str, str]]:
    folder = files("eldex.subsidies") / "parameters"
    return [
        (file.name, file.read_text("utf-8"))
        for file in folder.iterdir()
        if file.name.endswith(".yaml")
    ]


def _read(content: dict[str, Any]) -> tuple[Scheme, list[SetParameters]]:
    scheme = _converter.structure(content["scheme"], Scheme)
    found = []
    for entry in content["versions"]:
        region = RegionCode.parse(entry["region"])
        version = _converter.structure({k: v for k, v in entry.items() if k != "region"}, Version)
        version.check(scheme.payee)
        found.append(SetParameters(scheme.code, region, version))
    return scheme, found
