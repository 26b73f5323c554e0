"""The commands behind `make up`, `make down`, `make status` and `make logs`."""

import asyncio
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from eldex.console import accounts
from eldex.local import supervisor
from eldex.local.narrating import languages, said
from eldex.local.neighbours import HOME, NEIGHBOUR, NEIGHBOUR_SERVICES
from eldex.local.populate import choose, populate, scale_of
from eldex.local.process import PartFailed
from eldex.local.stack import SERVICES, BadSetting, Settings, Stack
from eldex.local.supervisor import Phase

T = TypeVar("T")
app = typer.Typer(
    help="The local city: broker, database and services.",
    no_args_is_help=True,
    add_completion=False,
)
_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)

_NOT_READY = 3
"""Exit code of `status`: an answer, and no error of the command's (systemctl and LSB scripts have it)."""
City = Annotated[str, typer.Option(help="The prefecture's six-digit division code.")]


def _scale(text: str) -> Fraction:
    try:
        return scale_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Scale = Annotated[
    Fraction | None,
    typer.Option(
        parser=_scale,
        metavar="SHARE",
        help="Size of the generated city: 1/1000 (the usual one, 1,204 elders) to 1, such as 1/100.",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(min=0, help="Seed number of the generated city: another one, other people (2)."),
]


@app.command()
def up(
    city: City = HOME,
    scale: Scale = None,
    seed: Seed = None,
    empty: Annotated[
        bool, typer.Option("--empty", help="Without people and institutions, if it has none yet.")
    ] = False,
) -> None:
    """Start the city with its people and leave it running; prints its addresses when all is ready.

    The partner city of the demo has no people of its own.
    """
    wanted = choose(the_city(city).settings.root, seed, scale)
    start(city)
    if city == HOME and not empty:
        populate(the_city(city), wanted)
    _print_addresses(the_city(city))


def start(*cities: str) -> None:
    """Start cities side by side, or wait for those that are being started; each one's steps are told."""
    languages()  # refused before anything is started
    begun = {city: _begin(the_city(city)) for city in cities}
    for city, child in begun.items():
        root = the_city(city).settings.root
        report = supervisor.read(root)
        if child is None and report is not None and report.phase is Phase.READY:
            _out.print(said(f"{city} 已在运行", f"The city {city} is already up."))
            continue
        try:
            with _out.status(said(f"正在启动 {city} …", f"Starting the city {city} …")):
                for step in supervisor.follow(root, child):
                    _out.print(f"  {step}", markup=False)
        except KeyboardInterrupt:
            _out.print(said("正在停止已启动的部分", "Stopping what was started."))
            for each in filter(None, begun.values()):
                each.send_signal(signal.SIGTERM)
                each.wait()
            raise typer.Exit(130) from None
        except PartFailed as failed:
            if up := [
                each for each in cities if supervisor.is_running(the_city(each).settings.root)
            ]:
                names = ", ".join(up)
                left = said(
                    f"{names} 仍在运行：make down 停止",
                    f"{names} is still up: `make down` stops it",
                )
                raise PartFailed(f"{failed}\n{left}") from failed
            raise


def _begin(stack: Stack) -> "subprocess.Popen[bytes] | None":
    """Start a city in the background; None: somebody has done so already."""
    root = stack.settings.root
    if supervisor.is_running(root):
        return None
    _clear_leftovers(stack)
    stack.check_ports()
    # Before another city starts: each makes what is missing of the other's certificates and keys.
    stack.make_identities()
    return supervisor.spawn(root, ["supervise", "--city", stack.settings.city])


@app.command()
def down(city: City = HOME) -> None:
    """Stop everything of the city; its data stays until `make clean`. The partner city goes with it."""
    if city == HOME and supervisor.is_running(Settings.from_env(NEIGHBOUR).root):
        down(NEIGHBOUR)
    root = Settings.from_env(city).root
    running = supervisor.is_running(root)
    with _out.status(said(f"正在停止 {city} …", f"Stopping the city {city} …")):
        told = supervisor.stop(root)
    for line in told:
        _out.print(f"  {line}", markup=False)
    if running or told:
        _out.print(said(f"{city} 已停止", f"The city {city} is down."))
    else:
        _out.print(said(f"{city} 未在运行", f"The city {city} was not up."))


@app.command()
def status(city: City = HOME) -> None:
    """Show each part; exits with 0 if every one is ready, with 3 if not (as service managers do)."""
    stack = the_city(city)
    report = supervisor.read(stack.settings.root)
    if report is None or not supervisor.is_running(stack.settings.root):
        _out.print(said(f"{city} 未在运行", f"The city {city} is not up."))
        if report and report.phase is Phase.FAILED:
            _out.print(report.failure, markup=False)
        if city == HOME and supervisor.is_running(the_city(NEIGHBOUR).settings.root):
            _out.print(said(f"协作城市 {NEIGHBOUR} 在运行", f"The partner city {NEIGHBOUR} is up."))
        raise typer.Exit(_NOT_READY)
    table = Table("part", "state", "pid", "restarts", "port", box=None)
    for name, part in report.parts.items():
        port = stack.settings.ports["console-web" if name == "console" else name]
        table.add_row(name, part.state, str(part.pid or "-"), str(part.restarts), str(port))
    _out.print(table)
    if report.phase is not Phase.READY or any(
        part.state != "ready" for part in report.parts.values()
    ):
        raise typer.Exit(_NOT_READY)


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


def guarded(command: Callable[[], T]) -> T:
    """Run it; what goes wrong for a known reason is said in words, with exit code 1."""
    try:
        return command()
    except (PartFailed, BadSetting) as error:
        _err.print(f"eldex: {error}", markup=False)
        raise SystemExit(1) from None
