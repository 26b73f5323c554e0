"""Every text of the console exists in 中文, and every event of the contract has words."""

from __future__ import annotations

from pathlib import Path

from babel.messages.extract import extract
from babel.messages.pofile import read_po

from eldex.api.topics import load_topics
from eldex.console.web import words
from eldex.console.web.language import CATALOGUE, translate

WEB = CATALOGUE.parents[1]


def texts() -> set[str]:
    """Every text that a page may say."""
    found: set[str] = (
        set(words.DEPARTMENTS.values()) | set(words.EVENTS.values()) | set(words.SPANS.values())
    )
    found |= {text for kind in words.NAMED.values() for text in kind.values()} | {words.ANSWERED}
    for template in (WEB / "templates").glob("*.html"):
        with template.open("rb") as file:
            for _, message, _, _ in extract("jinja2.ext:babel_extract", file):
                parts = message if isinstance(message, tuple) else (message,)
                found |= {part for part in parts if part}
    for module in WEB.glob("*.py"):
        with module.open("rb") as file:
            found |= {str(m) for _, m, _, _ in extract("python", file, keywords={"N_": None})}
    return found


def test_every_text_is_translated_with_the_same_placeholders() -> None:
    with CATALOGUE.open("rb") as file:
        catalogue = {str(m.id): str(m.string) for m in read_po(file, locale="zh") if m.id}
    assert len(texts()) > 150
    assert sorted(texts() - set(catalogue)) == []
    for text, chinese in catalogue.items():
        assert chinese, text
        for place in ("thing", "num", "department", "party", "partner", "target", "time", "parent"):
            assert (f"%({place})s" in text) == (f"%({place})s" in chinese), text


def test_every_event_of_the_contract_has_words() -> None:
    events = {name for topic in load_topics().values() for name in topic.events}
    without = sorted(name for name in events if name.rpartition(".")[2] not in words.EVENTS)
    assert without == [], "say in web/words.py and web/locale/zh.po what has happened"


def test_a_method_reads_as_words_in_both_languages() -> None:
    path = "/eldex.api.registry.v1.RegistryService/RegisterDeath"
    assert words.method(path, "en") == "register death"
    assert words.method(path, "zh") == "登记死亡"
    assert words.method("/eldex.api.x.v1.X/DoSomethingNew", "zh") == "do something new"
    assert translate("no such text", "zh") == "no such text"


def test_the_vendored_library_is_the_one_that_the_notice_names() -> None:
    from hashlib import sha256

    notice = (WEB / "static" / "NOTICE.md").read_text("utf-8")
    scripts = [path for path in (WEB / "static").iterdir() if path.name.startswith("htmx")]
    assert len(scripts) == 1
    assert sha256(Path(scripts[0]).read_bytes()).hexdigest() in notice
