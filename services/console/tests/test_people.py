"""Who may come in, for how long, and what is written down about it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from eldex.common import mongo
from eldex.common.clock import system_clock
from eldex.common.identifiers import new_key
from eldex.console import accounts
from eldex.console.accounts import BadAccountsFile, FileAccounts
from eldex.console.domain.people import (
    FAILURES_FROM_AN_ADDRESS,
    FAILURES_FROM_ANYWHERE,
    Act,
    Action,
    Role,
)
from eldex.console.main import serving
from eldex.console.store.actions import MongoActions
from services.console.tests.conftest import Browserless

if TYPE_CHECKING:
    from services.console.tests.conftest import Console

PAGES = ("/", "/traces", "/traces/operations", f"/traces/{'a' * 32}", "/map", "/matters", "/flows",
         "/dead-letters", "/dead-letters/replay", "/dead-letters/close", "/actions", "/members", "/agreements",
         "/agreements/x", "/catalogue", "/catalogue/requests", "/catalogue/101001/000001", "/log",
         "/log/7", "/log/7/bundle", "/subscribers", "/subscribers/member/a/b/c",
         "/deliveries/change")  # fmt: skip


async def test_nobody_sees_anything_before_signing_in(console: Console) -> None:
    visitor = console.visitor()
    for page in PAGES:
        reply = await visitor.get(page)
        assert reply.status == 303, page
        assert reply.headers["location"] == f"/sign-in?next={page}"
    forms = ("/sign-out", "/matters", "/dead-letters/replay", "/dead-letters/close")
    for form in (*forms, "/deliveries/change"):
        assert (await visitor.post(form, {"q": "x"})).headers["location"].startswith("/sign-in")


async def test_signing_in_goes_on_to_the_page_asked_for_but_never_to_another_site(
    console: Console,
) -> None:
    form = {"user": "viewer", "password": console.passwords["viewer"]}
    for target, reached in (
        ("/traces?errors=1", "/traces?errors=1"),
        ("https://elsewhere.example/", "/"),
        ("//elsewhere.example/", "/"),
        ("/\\elsewhere.example/", "/"),
    ):
        reply = await console.visitor().post("/sign-in", form | {"next": target})
        assert (reply.status, reply.headers["location"]) == (303, reached)
        cookie = reply.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie


async def test_a_wrong_password_is_told_and_recorded_without_what_was_typed(
    console: Console,
) -> None:
    visitor = console.visitor()
    reply = await visitor.sign_in("viewer", "guess-number-1")
    assert (reply.status, "is not right" in reply.text) == (403, True)
    await visitor.sign_in("my-password-by-mistake", "guess-number-2")
    page = (await (await console.signed_in("viewer")).get("/actions")).text
    assert page.count("failed") == 2
    assert "unknown name" in page
    for typed in ("guess-number-1", "guess-number-2", "my-password-by-mistake"):
        assert typed not in page


async def test_guessing_is_throttled_even_for_the_right_password(console: Console) -> None:
    visitor = console.visitor()
    for number in range(FAILURES_FROM_AN_ADDRESS):
        assert (await visitor.sign_in("operator", f"guess-{number}")).status == 403
    throttled = await visitor.sign_in("operator", console.passwords["operator"])
    assert (throttled.status, "try again in 5 minutes" in throttled.text) == (429, True)
    # Another account is not locked out by it.
    assert (await visitor.sign_in("viewer", console.passwords["viewer"])).status == 303


async def test_who_guesses_behind_a_gateway_locks_out_nobody_but_the_account_guessed(
    console: Console,
) -> None:
    """Behind a gateway everybody comes from its address."""
    visitor = console.visitor()
    for number in range(FAILURES_FROM_AN_ADDRESS):
        assert (await visitor.sign_in(f"nobody-{number}", "guess")).status == 403
        assert (await visitor.sign_in("operator", "guess")).status == 403
    assert (await visitor.sign_in("nobody-else", "guess")).status == 429
    assert (await visitor.sign_in("operator", console.passwords["operator"])).status == 429
    for role in ("viewer", "auditor"):
        assert (await console.visitor().sign_in(role, console.passwords[role])).status == 303


async def test_many_addresses_guess_one_account_no_better_and_another_address_is_let_in(
    console: Console,
) -> None:
    database = f"{console.settings.mongo_prefix}_console"

    async def guessed(times: int, of: int) -> None:
        for number in range(times):
            failed = Action(new_key("act"), system_clock(), "operator", f"192.0.2.{number % of}",
                            Act.SIGN_IN, "", "failed")  # fmt: skip
            await record.append(failed)

    visitor = console.visitor()
    async with mongo.connect(console.settings.mongo_uri, database) as backend:
        record = MongoActions(backend)
        await guessed(FAILURES_FROM_AN_ADDRESS, of=1)
        assert (await visitor.sign_in("operator", console.passwords["operator"])).status == 303
        await guessed(FAILURES_FROM_ANYWHERE, of=200)
    assert (await visitor.sign_in("operator", console.passwords["operator"])).status == 429


async def test_a_session_ends_with_signing_out_a_new_password_a_forged_or_a_removed_account(
    console: Console,
) -> None:
    secrets = console.settings.secrets_dir
    reader = await console.signed_in("viewer")
    kept = dict(reader.cookies)
    left = await reader.post("/sign-out", {"form_token": await reader.form_token()})
    assert left.headers["location"] == "/sign-in"
    assert reader.cookies["eldex_console"] in {"", '""'}

    reader.cookies = kept | {"eldex_console": kept["eldex_console"][:-2] + "xx"}
    assert (await reader.get("/actions")).status == 303
    reader.cookies = dict(kept)
    assert (await reader.get("/actions")).status == 303, "a copy of the cookie is of no use either"

    assert (await reader.sign_in("viewer", console.passwords["viewer"])).status == 303
    assert (await reader.get("/actions")).status == 200
    accounts.set_account(secrets, "viewer", Role.VIEWER, "another long password")
    assert (await reader.get("/actions")).status == 303

    assert (await reader.sign_in("viewer", "another long password")).status == 303
    content = json.loads((secrets / accounts.FILE).read_text("utf-8"))
    del content["accounts"]["viewer"]
    (secrets / accounts.FILE).write_text(json.dumps(content), "utf-8")
    assert (await reader.get("/actions")).status == 303


async def test_signing_out_ends_one_session_and_no_other_also_for_the_next_process(
    console: Console,
) -> None:
    here, there = await console.signed_in("viewer"), await console.signed_in("viewer")
    copy = dict(here.cookies)
    await here.post("/sign-out", {"form_token": await here.form_token()})
    assert (await there.get("/actions")).status == 200
    settings = console.settings.model_copy(update={"otlp_listen": "127.0.0.1:0"})
    async with serving(settings) as next_process:
        later = Browserless(next_process.web_port)
        later.cookies = copy
        assert (await later.get("/actions")).status == 303
        later.cookies = dict(there.cookies)
        assert (await later.get("/actions")).status == 200


async def test_every_answer_forbids_outside_resources_and_frames(console: Console) -> None:
    visitor = console.visitor()
    reader = await console.signed_in()
    for reply in (
        await visitor.get("/sign-in"),
        await reader.get("/traces"),
        await visitor.get("/nowhere"),
        await visitor.get("/static/console.css"),
        await visitor.post("/sign-in", {"user": "x" * 20_000}),
    ):
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"


async def test_a_form_that_is_too_large_is_refused_before_it_is_read(console: Console) -> None:
    reply = await console.visitor().post("/sign-in", {"user": "x" * 20_000})
    assert reply.status == 413


def test_development_accounts_are_made_once_with_random_passwords(tmp_path: Path) -> None:
    first = accounts.ensure(tmp_path)
    assert set(first) == {"viewer", "auditor", "operator"}
    assert accounts.ensure(tmp_path) == first
    assert len(set(first.values())) == 3
    for name in (accounts.FILE, accounts.PASSWORDS_FILE):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0
    assert not [p for p in first.values() if p in (tmp_path / accounts.FILE).read_text("utf-8")]


def test_the_command_prints_what_it_made_and_sets_an_account(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "eldex.console.accounts", str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"viewer\t\S{16}\nauditor\t\S{16}\noperator\t\S{16}\n", said)
    subprocess.run(
        [*command, "set", "lihua", "operator"], input="a long password\n", text=True, check=True
    )
    account = FileAccounts(tmp_path).find("lihua")
    assert account is not None
    assert account.role is Role.OPERATOR
    short = subprocess.run(
        [*command, "set", "lihua", "viewer"],
        input="short\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (short.returncode, "at least 12 characters" in short.stderr) == (1, True)


async def test_a_password_fits_its_own_account_only(tmp_path: Path) -> None:
    passwords = accounts.ensure(tmp_path)
    known = FileAccounts(tmp_path)
    account = await known.verify("operator", passwords["operator"])
    assert account is not None
    assert account.role is Role.OPERATOR
    assert await known.verify("operator", passwords["viewer"]) is None
    assert await known.verify("nobody", passwords["viewer"]) is None


def test_a_damaged_accounts_file_names_itself_and_the_mend(tmp_path: Path) -> None:
    (tmp_path / accounts.FILE).write_text('{"accounts": {"x": {}}}', "utf-8")
    with pytest.raises(BadAccountsFile, match=r"console-accounts\.json.*eldex\.console\.accounts"):
        FileAccounts(tmp_path)


async def test_without_accounts_the_page_says_how_to_make_them(tmp_path: Path) -> None:
    assert FileAccounts(tmp_path).any() is False
    accounts.ensure(tmp_path)
    known = FileAccounts(tmp_path)
    assert known.any() is True
    (tmp_path / accounts.FILE).unlink()
    assert known.any() is False
