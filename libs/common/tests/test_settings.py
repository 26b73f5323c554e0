"""A wrong variable stops the start, and is named."""

from __future__ import annotations

import pytest

from eldex.common.settings import Settings

GOOD = {"ELDEX_CITY": "511700", "ELDEX_TLS_DIR": "/tls", "ELDEX_SECRETS_DIR": "/secrets"}


@pytest.fixture(autouse=True)
def good(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)


def test_what_is_given_is_read_and_the_rest_has_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELDEX_PEERS", '{"registry": "127.0.0.1:5001"}')
    monkeypatch.setenv("ELDEX_TRACE_RATIO", "1")
    settings = Settings.read()
    assert (settings.city, settings.instance) == ("511700", "service-0")
    assert settings.peers == {"registry": "127.0.0.1:5001"}
    assert settings.trace_ratio == 1.0


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("ELDEX_CITY", "达州", "ELDEX_CITY: String should match pattern"),
        ("ELDEX_CITY", "5117", "ELDEX_CITY: String should match pattern"),
        ("ELDEX_TRACE_RATIO", "7", "ELDEX_TRACE_RATIO: Input should be less than or equal to 1"),
        ("ELDEX_MAX_IN_FLIGHT", "0", "ELDEX_MAX_IN_FLIGHT: Input should be greater than 0"),
        ("ELDEX_MAX_IN_FLIGHT", "many", "ELDEX_MAX_IN_FLIGHT: Input should be a valid integer"),
        ("ELDEX_LOG_LEVEL", "loud", "ELDEX_LOG_LEVEL: Input should be 'debug', 'info'"),
        ("ELDEX_PEERS", "registry=127.0.0.1:5001", "ELDEX_PEERS: is not JSON"),
        ("ELDEX_PEERS", '{"registry": 5001}', "ELDEX_PEERS: registry: Input should be a valid"),
        ("ELDEX_TLS_DIR", None, "ELDEX_TLS_DIR: Field required"),
    ],
)
def test_a_wrong_variable_is_named_with_what_is_expected(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str | None,
    said: str,
) -> None:
    if value is None:
        monkeypatch.delenv(variable)
    else:
        monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        Settings.read()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(said)


def test_every_wrong_variable_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ELDEX_CITY", "x")
    monkeypatch.delenv("ELDEX_SECRETS_DIR")
    with pytest.raises(SystemExit):
        Settings.read()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["ELDEX_CITY", "ELDEX_SECRETS_DIR"]
