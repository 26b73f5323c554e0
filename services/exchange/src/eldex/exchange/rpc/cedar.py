"""Agreements as Cedar entities, judged by a few fixed policies that a schema has checked.

The policies say the conditions of `domain/decision.py` in Cedar's words, one forbidding policy for each
condition; the agreement is the resource. A change of an agreement changes data, never a policy. Nothing
is allowed unless Cedar and the plain judge agree: a difference is a defect of ours, and denies.
"""

from __future__ import annotations

import json
from typing import Any, Final

import cedarpy

from eldex.common.identifiers import RegionCode
from eldex.common.logs import logger
from eldex.exchange.domain.agreements import Agreement, every_method_of
from eldex.exchange.domain.decision import Condition, Judge, PlainJudge, Question

SCHEMA: Final = """
entity Subsystem;
entity Agreement = {
  subsystem: Subsystem,
  methods: Set<String>,
  purposes: Set<String>,
  validFrom: Long,
  validTo: Long,
  suspended: Bool,
  callerRegions: Set<String>,
  grantsAll: Bool,
  grantedMethods: Set<String>,
  permitsBreakGlass: Bool,
  hasSubjectRegions: Bool,
  consentPurposes: Set<String>,
};
action call appliesTo {
  principal: [Subsystem],
  resource: [Agreement],
  context: {
    method: String,
    everyMethod: String,
    purpose: String,
    day: Long,
    callerLineage: Set<String>,
    subjectsWithin: Bool,
    consented: Bool,
    breakGlass: Bool,
  },
};
"""

POLICIES: Final = """
@id("UNDER_AGREEMENT")
permit(principal, action == Action::"call", resource)
when { resource.subsystem == principal };

@id("SUBSYSTEM")
forbid(principal, action == Action::"call", resource)
unless { resource.subsystem == principal };

@id("METHOD")
forbid(principal, action == Action::"call", resource)
unless {
  resource.methods.contains(context.method) || resource.methods.contains(context.everyMethod)
};

@id("PURPOSE")
forbid(principal, action == Action::"call", resource)
unless { resource.purposes.contains(context.purpose) };

@id("IN_FORCE")
forbid(principal, action == Action::"call", resource)
when {
  resource.suspended || context.day < resource.validFrom || context.day >= resource.validTo
};

@id("CALLER_REGION")
forbid(principal, action == Action::"call", resource)
unless { context.callerLineage.containsAny(resource.callerRegions) };

@id("FIELDS")
forbid(principal, action == Action::"call", resource)
unless {
  resource.grantsAll ||
  resource.grantedMethods.contains(context.method) ||
  resource.grantedMethods.contains(context.everyMethod)
};

@id("BREAK_GLASS")
forbid(principal, action == Action::"call", resource)
when { context.breakGlass && !resource.permitsBreakGlass };

@id("SUBJECT_REGION")
forbid(principal, action == Action::"call", resource)
when { resource.hasSubjectRegions && !context.subjectsWithin }
unless { context.breakGlass && resource.permitsBreakGlass };

@id("CONSENT")
forbid(principal, action == Action::"call", resource)
when { resource.consentPurposes.contains(context.purpose) && !context.consented }
unless { context.breakGlass && resource.permitsBreakGlass };
"""

_NEVER: Final = 10_000_000
"""A day after every other."""


class CedarJudge:
    """Judges by the policies; agreements are compiled once for each version."""

    def __init__(self) -> None:
        """Raise `ValueError` if the policies do not fit their schema: a defect, found at the start."""
        self._schema = cedarpy.Schema.from_str(SCHEMA)
        checked = cedarpy.validate_policies(POLICIES, self._schema)
        if not checked.validation_passed:
            raise ValueError("; ".join(str(error) for error in checked.errors))
        self._policies = cedarpy.PolicySet.from_str(POLICIES)
        self._compiled: dict[tuple[str, int, RegionCode], Any] = {}

    def unmet(self, agreement: Agreement, question: Question) -> frozenset[Condition]:
        """The conditions whose policies forbid it."""
        request = {
            "principal": {"type": "Subsystem", "id": question.subsystem},
            "action": {"type": "Action", "id": "call"},
            "resource": {"type": "Agreement", "id": agreement.key},
            "context": {
                "method": question.method,
                "everyMethod": every_method_of(question.method),
                "purpose": question.purpose,
                "day": question.on.toordinal(),
                "callerLineage": [str(code) for code in question.caller_region.lineage()],
                "subjectsWithin": question.subjects_within,
                "consented": question.consented,
                "breakGlass": question.break_glass,
            },
        }
        result = cedarpy.is_authorized(
            request, self._policies, self._entities(agreement, question.home)
        )
        if result.diagnostics.errors:
            raise ValueError("; ".join(result.diagnostics.errors))
        if result.allowed:
            return frozenset()
        found = result.diagnostics.id_annotations_by_reason.values()
        return frozenset(Condition(name) for name in found)

    def _entities(self, agreement: Agreement, home: RegionCode) -> Any:
        place = (agreement.key, agreement.version, home)
        known = self._compiled.get(place)
        if known is None:
            for old in [key for key in self._compiled if key[0] == agreement.key]:
                del self._compiled[old]
            entities = json.dumps([entity_of(agreement, home)])
            known = self._compiled[place] = cedarpy.Entities.from_json_str(entities, self._schema)
        return known


def entity_of(agreement: Agreement, home: RegionCode) -> dict[str, Any]:
    """The agreement as Cedar reads it."""
    cities = agreement.caller_regions or [home]
    return {
        "uid": {"type": "Agreement", "id": agreement.key},
        "attrs": {
            "subsystem": {"__entity": {"type": "Subsystem", "id": agreement.subsystem}},
            "methods": agreement.methods,
            "purposes": agreement.purposes,
            "validFrom": agreement.valid_from.toordinal(),
            "validTo": agreement.valid_to.toordinal() if agreement.valid_to else _NEVER,
            "suspended": agreement.suspended,
            "callerRegions": [str(city) for city in cities],
            "grantsAll": not agreement.field_grants,
            "grantedMethods": [grant.method for grant in agreement.field_grants],
            "permitsBreakGlass": agreement.permits_break_glass,
            "hasSubjectRegions": bool(agreement.subject_regions),
            "consentPurposes": [
                each.purpose
                for each in agreement.purpose_terms
                if agreement.terms(each.purpose).requires_consent
            ],
        },
        "parents": [],
    }


class AgreedJudge:
    """Allows what both judges allow, and remembers what they said while nothing changes.

    A decision depends on nothing but the agreement's version and the question, so it can be kept; the
    day is part of the question. Cedar's 50 to 100 µs are paid once for each kind of call.
    """

    _MOST: Final = 50_000

    def __init__(self, cedar: Judge, plain: Judge | None = None) -> None:
        self._cedar, self._plain = cedar, plain or PlainJudge()
        self._known: dict[tuple[str, int, Question], frozenset[Condition]] = {}

    def unmet(self, agreement: Agreement, question: Question) -> frozenset[Condition]:
        """The conditions that one of them finds missing."""
        place = (agreement.key, agreement.version, question)
        known = self._known.get(place)
        if known is None:
            plain = self._plain.unmet(agreement, question)
            cedar = self._cedar.unmet(agreement, question)
            if plain != cedar:
                logger().error(
                    "judges_differ",
                    agreement=agreement.key,
                    version=agreement.version,
                    plain=sorted(plain),
                    cedar=sorted(cedar),
                )
            if len(self._known) >= self._MOST:
                self._known.clear()
            known = self._known[place] = plain | cedar
        return known
