"""The commands behind `make up`, `make down`, `make status` and `make logs`."""

import asyncio
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from eldex.console import accounts
from eldex.local import supervisor
from eldex.local.neighbours import HOME, NEIGHBOUR, NEIGHBOUR_SERVICES
from eldex.local.process import PartFailed
from eldex.local.stack import SERVICES, BadSetting, Settings, Stack
from eldex.local.supervisor import Phase

app = typer.Typer(help="The local city: broker, database and services.", no_args_is_help=True)
_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)

City = Annotated[str, typer.Option(help="The prefecture's six-digit division code.")]


@app.command()
def up(city: City = HOME) -> None:
    """Start the city and leave it running; prints its addresses when all is ready."""
    stack = the_city(city)
    root = stack.settings.root
    if supervisor.is_running(root):
        report = supervisor.read(root)
        is_ready = report is not None and report.phase is Phase.READY
        with _out.status(f"The city {city} is being started already …"):
            for step in () if is_ready else supervisor.follow(root):
                _out.print(f"  {step}", markup=False)
        _out.print(f"The city {city} is already up.")
        _print_addresses(the_city(city))
        return
    _clear_leftovers(stack)
    stack.check_ports()
    child = supervisor.spawn(root, ["supervise", "--city", city])
    try:
        with _out.status(f"Starting the city {city} …"):
            for step in supervisor.follow(root, child):
                _out.print(f"  {step}", markup=False)
    except KeyboardInterrupt:
        _out.print("Stopping what was started.")
        child.send_signal(signal.SIGTERM)
        child.wait()
        raise typer.Exit(130) from None
    _print_addresses(stack)


@app.command()
def down(city: City = HOME) -> None:
    """Stop everything of the city; its data stays until `make clean`. The partner city goes with it."""
    if city == HOME and supervisor.is_running(Settings.from_env(NEIGHBOUR).root):
        down(NEIGHBOUR)
    root = Settings.from_env(city).root
    running = supervisor.is_running(root)
    with _out.status(f"Stopping the city {city} …"):
        told = supervisor.stop(root)
    for line in told:
        _out.print(f"  {line}", markup=False)
    _out.print(f"The city {city} is down." if running or told else f"The city {city} was not up.")


@app.command()
def status(city: City = HOME) -> None:
    """Show each part; exits with 1 unless every one is ready."""
    stack = the_city(city)
    report = supervisor.read(stack.settings.root)
    if report is None or not supervisor.is_running(stack.settings.root):
        _out.print(f"The city {city} is not up.")
        if report and report.phase is Phase.FAILED:
            _out.print(report.failure, markup=False)
        raise typer.Exit(1)
    table = Table("part", "state", "pid", "restarts", "port", box=None)
    for name, part in report.parts.items():
        port = stack.settings.ports["console-web" if name == "console" else name]
        table.add_row(name, part.state, str(part.pid or "-"), str(part.restarts), str(port))
    _out.print(table)
    if report.phase is not Phase.READY or any(
        part.state != "ready" for part in report.parts.values()
    ):
        raise typer.Exit(1)


@app.command()
def logs(
    parts: Annotated[list[str] | None, typer.Argument(help="Parts; all of them without.")] = None,
    city: City = HOME,
    lines: Annotated[int, typer.Option(help="Lines of each to begin with.")] = 20,
    follow: Annotated[bool, typer.Option(help="Go on showing new lines.")] = True,
) -> None:
    """Show the end of the logs, and what is added to them."""
    stack = the_city(city)
    known = {"supervisor": stack.logs / "supervisor.log"}
    known |= {name: part.log for name, part in stack.parts.items()}
    if unknown := sorted(set(parts or ()) - set(known)):
        raise BadSetting(f"no part is called {', '.join(unknown)}; there are {', '.join(known)}")
    files = [str(known[name]) for name in parts or known if known[name].exists()]
    if not files:
        _out.print(f"The city {city} has no logs yet.")
        return
    option = ["-F"] if follow else []
    try:
        ended = subprocess.run(["tail", "-n", str(lines), *option, *files], check=False)
    except KeyboardInterrupt:
        return
    # Whoever reads may have seen enough (`| head`).
    if ended.returncode not in {0, -signal.SIGPIPE}:
        raise typer.Exit(ended.returncode)


@app.command(hidden=True)
def supervise(city: City = HOME) -> None:
    """Run the city in the foreground, as `up` does in the background."""
    report = asyncio.run(supervisor.supervise(the_city(city)))
    if report.failure:
        raise PartFailed(report.failure)


def the_city(city: str) -> Stack:
    """The city as it runs; one that does not, as the environment describes it.

    Of the partner city, what the demo needs of it.
    """
    settings = Settings.from_env(city)
    report = supervisor.read(settings.root)
    if report is not None and report.ports and supervisor.is_running(settings.root):
        settings = replace(settings, ports=report.ports)
    return Stack(settings, services=NEIGHBOUR_SERVICES if city == NEIGHBOUR else SERVICES)


def _clear_leftovers(stack: Stack) -> None:
    """End what a supervisor that was killed may have left (only where children outlive it)."""
    for line in supervisor.stop(stack.settings.root):
        _out.print(f"  {line}", markup=False)


def _print_addresses(stack: Stack) -> None:
    pki = stack.pki
    table = Table(box=None, show_header=False)
    table.add_row("exchange (gRPC, mutual TLS)", stack.address("exchange"))
    table.add_row("  certificates of its callers", str(pki / "member"))
    if "console" in stack.services:
        table.add_row("console", f"http://{stack.address('console-web')}/")
        for name, password in accounts.ensure(stack.secrets).items():
            table.add_row(f"  sign in as {name}", password)
        table.add_row("traces in (OTLP, gRPC)", stack.address("console-otlp"))
    table.add_row("MongoDB", stack.mongod.uri)
    table.add_row("Kafka", stack.kafka.bootstrap)
    for name in stack.services:
        table.add_row(f"metrics of {name}", f"http://{stack.address(f'{name}-admin')}/metrics")
    table.add_row("logs", str(stack.logs))
    _out.print(table)


def main() -> None:
    """Run a command."""
    guarded(app)


def guarded(command: Callable[[], object]) -> None:
    """Run it; what goes wrong for a known reason is said in words, with exit code 1."""
    try:
        command()
    except (PartFailed, BadSetting) as error:
        _err.print(f"eldex: {error}", markup=False)
        raise SystemExit(1) from None
