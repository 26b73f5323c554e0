"""Parameters: by division and period, with document and clause; a change reaches whom it concerns."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from protovalidate import Validator

from eldex.api.common.v1 import common_pb2
from eldex.api.institutions.v1 import institution_pb2
from eldex.api.subsidies.v1 import entitlement_events_pb2 as told
from eldex.api.subsidies.v1 import entitlement_pb2, scheme_pb2
from eldex.api.subsidies.v1 import subsidies_service_pb2 as calls
from eldex.common.errors import CannotStart, StaleVersion
from eldex.common.regions import UnknownDivision
from eldex.subsidies.domain.schemes import ParametersContradictory, UnknownScheme
from eldex.subsidies.handlers.parameters import NotOffered
from eldex.subsidies.wire import parameter_files, schemes

OLD_AGE = "old-age-allowance"


def change(office: Any, region: str, since: str, fen: int, **more: Any) -> Any:
    """Everybody of 80 or more gets so much from a day on."""
    return calls.SetParametersRequest(
        request_id=str(uuid.uuid4()),
        parameters=scheme_pb2.Parameters(
            scheme_code=more.pop("scheme", OLD_AGE),
            region_code=region,
            valid_from=office.on(since),
            source=common_pb2.Source(document="通民发〔2026〕9号（虚构）", clause="第二条"),
            monthly=scheme_pb2.MonthlyRule(
                grades=[
                    scheme_pb2.Grade(
                        code="age-80",
                        monthly_amount_fen=fen,
                        conditions=[scheme_pb2.Condition(age_from=80)],
                    )
                ]
            ),
        ),
        **more,
    )


async def test_a_new_amount_reaches_everybody_in_the_division_and_nobody_else(office: Any) -> None:
    for number in range(5):
        await office.tell(office.registered(f"res_{number}", "1941-03-08"))
    await office.tell(office.registered("res_away", "1941-03-08", region=office.kaijiang))
    reply = await office.door.set_parameters(
        change(office, office.tongchuan, "2026-12-01", 7000), office.call()
    )
    await office.worker.run_pending()
    changed = office.events(told.EntitlementAmountChanged)
    assert sorted(c.resident_key for c in changed) == [f"res_{n}" for n in range(5)]
    assert {(office.text_of(c.changed_on), c.monthly_amount_fen, c.cause) for c in changed} == {
        ("2026-12-01", 7000, entitlement_pb2.END_CAUSE_PARAMETERS_CHANGED)
    }
    done = await office.door.get_redecision(
        calls.GetRedecisionRequest(redecision_key=reply.redecision.redecision_key), office.call()
    )
    assert (done.redecision.finished, done.redecision.decided) == (True, 5)


async def test_every_payment_cites_the_documents_by_which_its_days_are_due(office: Any) -> None:
    old, new = "示范参数（虚构） 通川区高龄津贴第一条", "通民发〔2026〕9号（虚构） 第二条"
    await office.tell(office.registered("res_wang", "1941-03-08"))
    await office.pay("2026-10")
    await office.door.set_parameters(
        change(office, office.tongchuan, "2026-11-16", 6000), office.call()
    )
    await office.pay("2026-11")
    office.today("2026-12-20")
    await office.pay("2026-12")
    assert await office.cited("res_wang") == {
        "2026-10": [old],
        "2026-11": [old, new],
        "2026-12": [new],
    }


async def test_a_street_may_stop_a_scheme_and_the_county_takes_over_when_its_rule_ends(
    office: Any,
) -> None:
    await office.tell(office.registered("res_wang", "1941-03-08", region=office.street))
    request = change(office, office.street, "2026-11-10", 0)
    del request.parameters.monthly.grades[:]
    request.parameters.valid_to.CopyFrom(office.on("2026-11-20"))
    await office.door.set_parameters(request, office.call())
    await office.worker.run_pending()
    stretches = (await office.entitlement("res_wang")).stretches
    assert [(office.text_of(s.began_on), s.monthly_amount_fen) for s in stretches] == [
        ("2024-01-01", 6000),
        ("2026-11-10", 0),
        ("2026-11-20", 6000),
    ]


async def test_what_applied_on_a_day_and_what_was_known_then_can_be_read(office: Any) -> None:
    before = office.service.clock()
    office.service.clock.pass_days(1)
    await office.door.set_parameters(
        change(office, office.tongchuan, "2024-01-01", 7000), office.call()
    )
    request = calls.GetParametersRequest(scheme_code=OLD_AGE, region_code="511702001")
    now = (await office.door.get_parameters(request, office.call())).parameters
    assert now.monthly.grades[0].monthly_amount_fen == 7000
    assert now.region_code == office.tongchuan
    request.known_at.FromDatetime(before)
    then = (await office.door.get_parameters(request, office.call())).parameters
    assert then.monthly.grades[-1].monthly_amount_fen == 6000
    assert then.source.document == "示范参数（虚构）"
    request.ClearField("known_at")
    request.as_of.CopyFrom(office.on("2023-12-31"))
    with pytest.raises(NotOffered):
        await office.door.get_parameters(request, office.call())


async def test_two_clerks_who_change_the_same_parameters_notice_each_other(office: Any) -> None:
    await office.door.set_parameters(
        change(office, office.tongchuan, "2026-12-01", 7000, etag="v1"), office.call()
    )
    with pytest.raises(StaleVersion):
        await office.door.set_parameters(
            change(office, office.tongchuan, "2026-12-01", 8000, etag="v1"), office.call()
        )
    again = await office.door.set_parameters(
        change(office, office.tongchuan, "2026-12-01", 7000), office.call()
    )
    assert not again.HasField("redecision")


async def test_parameters_that_cannot_be_applied_are_refused(office: Any) -> None:
    call = office.call()
    with pytest.raises(UnknownScheme):
        await office.door.set_parameters(
            change(office, "5117", "2026-12-01", 1, scheme="no-such-scheme"), call
        )
    with pytest.raises(ParametersContradictory):
        await office.door.set_parameters(
            change(office, "5117", "2026-12-01", 1, scheme="carer-award"), call
        )
    with pytest.raises(UnknownDivision):
        await office.door.set_parameters(change(office, "999999", "2026-12-01", 1), call)
    backwards = change(office, "5117", "2026-12-01", 1)
    backwards.parameters.valid_to.CopyFrom(office.on("2026-12-01"))
    with pytest.raises(ParametersContradictory):
        await office.door.set_parameters(backwards, call)


@pytest.mark.parametrize(
    ("scheme", "rule"),
    [
        # An amount that the scheme would never pay, and two of which one would win by chance.
        ("institution-operation-subsidy", {"rates": [15000], "unit_amount_fen": 500000}),
        ("institution-construction-subsidy", {"rates": [15000], "fixed_amount_fen": 500000}),
        ("institution-operation-subsidy", {"rates": [15000, 10000]}),
    ],
)
async def test_a_rule_for_institutions_whose_amounts_contradict_each_other_is_refused(
    office: Any, scheme: str, rule: dict[str, Any]
) -> None:
    request = change(office, "5117", "2026-12-01", 0, scheme=scheme)
    request.parameters.institution.kinds.append(institution_pb2.INSTITUTION_KIND_ELDER_CARE_HOME)
    request.parameters.institution.natures.append(institution_pb2.PROFIT_NATURE_NON_PROFIT)
    for fen in rule.pop("rates"):
        request.parameters.institution.bed_rates.add(
            bed_class=institution_pb2.BED_CLASS_NURSING, monthly_amount_fen=fen
        )
    for name, fen in rule.items():
        setattr(request.parameters.institution, name, fen)
    with pytest.raises(ParametersContradictory):
        await office.door.set_parameters(request, office.call())


async def test_every_shipped_version_has_its_document_and_keeps_the_contracts_rules(
    office: Any,
) -> None:
    question = calls.ListSchemesRequest(page_size=4)
    codes: list[str] = []
    while True:
        page = await office.door.list_schemes(question, office.call())
        codes += [scheme.scheme_code for scheme in page.schemes]
        if not page.next_page_token:
            break
        question.page_token = page.next_page_token
    assert codes == sorted(scheme.code for scheme in office.shipped.catalogue.of())
    assert len(codes) == 9
    validator = Validator()
    for code in codes:
        reply = await office.door.list_parameters(
            calls.ListParametersRequest(scheme_code=code), office.call()
        )
        assert reply.parameters
        for parameters in reply.parameters:
            validator.validate(parameters)
            assert parameters.source.document


def test_a_version_read_from_the_contract_is_the_version_that_was_written() -> None:
    for seed in parameter_files.load().seeds:
        message = schemes.parameters(seed.scheme_code, seed.region_code, seed.version, "v1")
        assert schemes.version(message) == seed.version


def test_a_malformed_parameter_file_is_named_with_what_is_wrong_in_it() -> None:
    text = """
scheme: {code: x, name_zh: x, name_en: x, payee: resident_monthly, source: {document: x}}
versions:
  - {region: "5117", valid_from: "2024-01-01", source: {document: x}, monthly: {gradse: []}}
"""
    with pytest.raises(CannotStart, match=r"parameters/wrong\.yaml: .*gradse"):
        parameter_files.load([("wrong.yaml", text)])
    with pytest.raises(CannotStart, match=r"parameters/empty\.yaml"):
        parameter_files.load([("empty.yaml", "")])


async def test_deciding_anew_goes_on_after_a_crash(
    office: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [f"res_{number}" for number in range(6)]
    await office.tell(*(office.registered(key, "1941-03-08") for key in people))
    monkeypatch.setattr("eldex.subsidies.handlers.working.PAGE", 2)
    await office.door.set_parameters(
        change(office, office.tongchuan, "2026-12-01", 7000), office.call()
    )
    backend = office.service.backend
    commit, left = backend.commit, [4]

    async def cut(batch: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise ConnectionError
        return await commit(batch)

    monkeypatch.setattr(backend, "commit", cut)
    with pytest.raises(ConnectionError):
        await office.worker.run_pending()
    monkeypatch.setattr(backend, "commit", commit)
    await office.worker.run_pending()
    assert len(office.events(told.EntitlementAmountChanged)) == 6
