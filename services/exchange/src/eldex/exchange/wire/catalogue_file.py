"""The city's settings of the catalogue: its departments, and the deadlines of its divisions (YAML)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from eldex.common.calendar import WorkingDays
from eldex.common.errors import CannotStart, DomainError
from eldex.common.identifiers import CreditCode
from eldex.exchange.domain.answer_deadlines import AnswerStep, DeadlineRule, DeadlineRules
from eldex.exchange.domain.catalogue import Provider


@dataclass(frozen=True, slots=True)
class CatalogueSettings:
    """Who provides, and by when requests are answered."""

    providers: dict[str, Provider]
    rules: DeadlineRules


def read_settings(path: Path | None) -> CatalogueSettings:
    """The settings of a file, or the model that comes with the exchange; raises `CannotStart`."""
    name = str(path or "data/catalogue.yaml")
    text = (path or files("eldex.exchange") / "data" / "catalogue.yaml").read_text(encoding="utf-8")
    try:
        whole = yaml.safe_load(text)
        providers = [_provider(entry) for entry in whole["providers"]]
        rules = tuple(_rule(entry) for entry in whole["deadlines"])
    except (yaml.YAMLError, KeyError, TypeError, ValueError, DomainError) as error:
        raise CannotStart(f"{name}: {type(error).__name__}: {error}") from error
    by_member = {provider.member: provider for provider in providers}
    return CatalogueSettings(by_member, DeadlineRules(rules, WorkingDays()))


def _provider(entry: dict[str, str]) -> Provider:
    code = entry.get("credit_code", "")
    return Provider(entry["member"], entry["name_zh"], str(CreditCode.parse(code)) if code else "")


def _rule(entry: dict[str, Any]) -> DeadlineRule:
    if not isinstance(entry["valid_from"], date):
        raise TypeError("valid_from must be a day such as 2025-08-01")
    if not 1 <= int(entry["working_days"]) <= 250:
        raise ValueError("working_days must be from 1 to 250")
    return DeadlineRule(
        AnswerStep(entry["step"]),
        str(entry["region_code"]),
        entry["valid_from"],
        int(entry["working_days"]),
        str(entry["document"]),
        str(entry["clause"]),
        bool(entry["verified"]),
    )
