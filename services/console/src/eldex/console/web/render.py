"""HTML from templates, in the reader's language."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from eldex.common.clock import CHINA, Clock
from eldex.common.errors import Language
from eldex.console.web import drawing, words
from eldex.console.web.language import choose, translate
from eldex.console.web.session import Sessions

_HERE: Final = Path(__file__).parent
STATIC: Final = _HERE / "static"


class Pages:
    """Renders templates; knows who reads and in which language."""

    def __init__(self, sessions: Sessions, clock: Clock) -> None:
        self._sessions, self._clock = sessions, clock
        self._environments = {language: _environment(language) for language in ("zh", "en")}

    def render(
        self, request: Request, template: str, status: int = 200, **values: Any
    ) -> HTMLResponse:
        """A page, or a part of one that htmx puts in."""
        language = choose(request)
        session = self._sessions.find(request)
        text = (
            self._environments[language]
            .get_template(template)
            .render(
                language=language,
                session=session,
                account=session.account if session else None,
                form_token=session.form_token if session else "",
                path=request.url.path,
                here=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
                now=self._clock(),
                **values,
            )
        )
        return HTMLResponse(text, status)

    def confirm(self, request: Request, part: str, **values: Any) -> HTMLResponse:
        """A question before something is done: in the dialog of the page, or as a page of its own."""
        inside = request.headers.get("hx-target") == "dialog"
        return self.render(request, part if inside else "confirm.html", part=part, **values)


def _environment(language: Language) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    say = partial(translate, language=language)
    installer: Any = environment
    installer.install_gettext_callables(
        say, lambda one, many, n: say(one if n == 1 else many), newstyle=True
    )
    named: dict[str, Callable[..., Any]] = {
        "duration": duration,
        "seconds": partial(seconds, language=language),
        "moment": moment,
        "clock_time": clock_time,
        "department": partial(words.department, language=language),
        "event_words": partial(words.event, language=language),
        "span_words": partial(words.span, language=language),
        "about_words": partial(words.about, language=language),
        "named": partial(_named, language=language),
        "reason_words": partial(words.reason, language=language),
        "system": system,
        "day": lambda day: day.isoformat(),
        "china_minute": lambda at: at.astimezone(CHINA).strftime("%Y-%m-%dT%H:%M"),
        "china_day": lambda at: at.astimezone(CHINA).date().isoformat(),
        "colour": drawing.colour,
        "say": say,
        "short": lambda full_name: full_name.rpartition(".")[2],
        "number": lambda value: f"{value:,}",
        "percent": percent,
    }
    environment.filters.update(named)
    environment.globals["asset"] = _asset
    return environment


def _named(name: str, kind: str, language: Language) -> str:
    return words.named(name, kind, language)


def system(path: str) -> str:
    """A subsystem as people write it: without what every one begins with."""
    return path.removeprefix("member/")


def _asset(name: str) -> str:
    return f"/static/{name}?v={_digest(name)}"


def _digest(name: str) -> str:
    return sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def duration(microseconds: float) -> str:
    """Microseconds as a person reads them: 850 µs, 12.3 ms, 1.24 s, 2 m 05 s."""
    if microseconds < 1_000:
        return f"{microseconds:.0f} µs"
    if microseconds < 1_000_000:
        return f"{microseconds / 1_000:.3g} ms" if microseconds < 999_500 else "1 s"
    if microseconds < 60_000_000:
        return f"{microseconds / 1_000_000:.3g} s"
    minutes, rest = divmod(round(microseconds / 1_000_000), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} m" if hours else f"{minutes} m {rest:02} s"


def seconds(value: float, language: Language) -> str:
    """Seconds of lag or age; nothing is said about none."""
    return duration(value * 1_000_000) if value >= 0.001 else ("无" if language == "zh" else "none")


def moment(at: datetime) -> str:
    """An instant in China's time, to the millisecond."""
    return at.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S.") + f"{at.microsecond // 1000:03}"


def clock_time(at: datetime) -> str:
    """The time of day in China, to the millisecond."""
    return at.astimezone(CHINA).strftime("%H:%M:%S.") + f"{at.microsecond // 1000:03}"


def percent(share: float) -> str:
    """A share of one, in percent; a small one is never shown as none."""
    if share <= 0:
        return "0 %"
    return f"{share * 100:.1f} %" if share >= 0.001 else "< 0.1 %"
