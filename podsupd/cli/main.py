"""The commands and their options. Exit codes: 0 done, 1 the answer is no, 2 usage, 3 no daemon.

Each body imports what it needs: a client command must not pay for the daemon's libraries.
"""

import gc
import os
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, NoReturn, ParamSpec

import typer

import podsupd
from podsupd.cli import completion
from podsupd.cli.client import Client, NoDaemonError, RefusedError
from podsupd.cli.plain import Format, complain
from podsupd.errors import ConfigError, PodsupdError

P = ParamSpec("P")

EXIT_NO = 1
EXIT_USAGE = 2
EXIT_NO_DAEMON = 3

app = typer.Typer(
    name="podsupd",
    epilog="Exit codes: 0 done, 1 the answer is no, 2 usage, 3 no daemon.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Socket = Annotated[
    str | None,
    typer.Option("--socket", envvar="PODSUPD_SOCKET", metavar="PATH", help="The daemon's control socket."),
]
Output = Annotated[Format, typer.Option("-o", "--output", help="What to print.")]
Target = Annotated[str, typer.Argument(metavar="POD[/CONTAINER]", autocompletion=completion.targets)]
Pod = Annotated[str, typer.Argument(metavar="POD", autocompletion=completion.pods)]
MaybePod = Annotated[str | None, typer.Argument(metavar="POD", autocompletion=completion.pods)]
Timeout = Annotated[float, typer.Option("--timeout", min=0, metavar="SECONDS", help="How long to wait.")]


def _say_version(asked: bool) -> None:  # noqa: FBT001  typer's form
    if asked:
        sys.stdout.write(f"podsupd {podsupd.__version__}\n")
        raise typer.Exit


@app.callback()
def program(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version of this program."),
    ] = False,
) -> None:
    """Supervise Podman pods on this host from Kubernetes manifests in a directory."""
    del version


def _answers(command: Callable[P, bool | None]) -> Callable[P, None]:
    """Map errors to exit codes; a command that returns False ends with 1."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        code = 0
        try:
            code = EXIT_NO if command(*args, **kwargs) is False else 0
        except NoDaemonError as error:
            complain(str(error))
            code = EXIT_NO_DAEMON
        except ConfigError as error:
            complain(str(error))
            code = EXIT_USAGE
        except (RefusedError, PodsupdError) as error:
            complain(str(error))
            code = EXIT_NO
        except BrokenPipeError:
            # The reader (head, less) has what it wants; the interpreter's own flush must not complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = EXIT_NO
        raise typer.Exit(code)

    return run


@app.command(rich_help_panel="Daemon")
@_answers
def run(
    *,
    config: Annotated[
        str | None, typer.Option("--config", envvar="PODSUPD_CONFIG", metavar="FILE", help="The settings.")
    ] = None,
    manifests: Annotated[
        str | None, typer.Option("--manifests", metavar="DIR", help="The directory of manifests.")
    ] = None,
    socket: Socket = None,
) -> None:
    """Run the daemon in the foreground; SIGTERM ends it and leaves the pods running, SIGHUP reloads."""
    # What is imported stays for ever: a collector that never looks at it saves a tenth of the start, and later pauses.
    gc.disable()
    from podsupd.cli import run as command  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    command.run(config, manifests, socket)


@app.command(rich_help_panel="Manifests")
@_answers
def check(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files, or directories of manifests.")],
    *,
    output: Output = Format.TABLE,
) -> bool:
    """Tell what is wrong in manifests, with file, line and path; needs no daemon."""
    from podsupd.cli import check as command  # noqa: PLC0415

    return command.check(paths, output)


@app.command("manifest-fields", hidden=True)
@_answers
def manifest_fields() -> None:
    """Print the page of every field of a manifest and what is made of it: docs/manifests.md."""
    from podsupd.manifest.document import page  # noqa: PLC0415

    sys.stdout.write(page())


@app.command(rich_help_panel="Manifests")
@_answers
def plan(*, output: Output = Format.TABLE, socket: Socket = None) -> None:
    """Show what would change, and why."""
    from podsupd.cli import ask  # noqa: PLC0415

    ask.plan(Client(socket), output)


@app.command(rich_help_panel="Manifests")
@_answers
def reload(*, output: Output = Format.TABLE, socket: Socket = None) -> bool:
    """Read the directory now; exit 1 when a file is wrong."""
    from podsupd.cli import ask  # noqa: PLC0415

    return ask.reload(Client(socket), output)


@app.command(rich_help_panel="Manifests")
@_answers
def prune(
    *,
    confirm: Annotated[bool, typer.Option("--confirm", help="Remove the pods.")] = False,
    output: Output = Format.TABLE,
    socket: Socket = None,
) -> None:
    """List the removals that are held; with --confirm let them happen."""
    from podsupd.cli import ask  # noqa: PLC0415

    ask.prune(Client(socket), output, confirm=confirm)


@app.command(rich_help_panel="Manifests")
@_answers
def adopt(
    *,
    confirm: Annotated[bool, typer.Option("--confirm", help="Take them over.")] = False,
    output: Output = Format.TABLE,
    socket: Socket = None,
) -> None:
    """List pods made from this directory before the state directory was lost; with --confirm take them over."""
    from podsupd.cli import ask  # noqa: PLC0415

    ask.adopt(Client(socket), output, confirm=confirm)


@app.command(rich_help_panel="Pods")
@_answers
def status(
    pod: MaybePod = None,
    *,
    output: Output = Format.TABLE,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on until interrupted.")] = False,
    socket: Socket = None,
) -> None:
    """Show the pods, or one of them in detail."""
    from podsupd.cli import status as command  # noqa: PLC0415

    if watch and output is not Format.TABLE:
        raise typer.BadParameter("--watch shows tables only; podsupd events --follow -o json is for programs")
    command.status(Client(socket), pod, output, watch=watch)


@app.command(rich_help_panel="Pods")
@_answers
def ps(pod: Pod, *, output: Output = Format.TABLE, socket: Socket = None) -> None:
    """Show the tree of a pod's processes, and what each does with signals."""
    from podsupd.cli import ps as command  # noqa: PLC0415

    command.ps(Client(socket), pod, output)


def _edit(verb: str, summary: str) -> None:
    @app.command(verb, help=summary, rich_help_panel="Pods")
    @_answers
    def edit(
        target: Target,
        *,
        no_wait: Annotated[bool, typer.Option("--no-wait", help="Ask only; do not wait until it is done.")] = False,
        timeout: Timeout = 120,
        output: Output = Format.TABLE,
        socket: Socket = None,
    ) -> bool:
        from podsupd.cli import changes  # noqa: PLC0415

        return changes.change(Client(socket), verb, target, timeout, output, wait=not no_wait)


_edit("restart", "Stop gracefully and start again; a fresh start, without back-off.")
_edit("stop", "Stop gracefully, and keep stopped until podsupd start.")
_edit("start", "Start what podsupd stop has stopped.")


@app.command(rich_help_panel="Pods")
@_answers
def wait(pod: Pod, *, timeout: Timeout = 120, socket: Socket = None) -> bool:
    """Wait until a pod is Ready, or has succeeded; exit 1, with the reason, when it is not in time or has failed."""
    from podsupd.cli import wait as command  # noqa: PLC0415

    return command.wait(Client(socket), pod, timeout)


@app.command(rich_help_panel="Pods")
@_answers
def logs(
    target: Target,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until interrupted.")] = False,
    tail: Annotated[int | None, typer.Option("--tail", min=0, metavar="N", help="Begin with the last N lines.")] = None,
    socket: Socket = None,
) -> None:
    """Show what the containers write."""
    from podsupd.cli import logs as command  # noqa: PLC0415

    command.logs(Client(socket), target, tail, follow=follow)


@app.command(rich_help_panel="Pods")
@_answers
def events(
    pod: MaybePod = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until interrupted.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=0, max=10_000, help="Begin with the newest so many.")] = 100,
    output: Output = Format.TABLE,
    socket: Socket = None,
) -> None:
    """Show what happened: deaths, restarts, probe changes, actions."""
    from podsupd.cli import events as command  # noqa: PLC0415

    command.events(Client(socket), pod, limit, output, follow=follow)


@app.command(rich_help_panel="Pods")
@_answers
def signal(
    target: Target,
    name: Annotated[str, typer.Argument(metavar="SIGNAL", help="TERM, SIGTERM, 15 or RTMIN+3.")],
    *,
    pid: Annotated[
        int | None, typer.Option("--pid", min=1, metavar="N", help="The process that has this PID in the pod.")
    ] = None,
    everyone: Annotated[
        bool, typer.Option("--all", help="All processes, not only the first of each container; never infra's.")
    ] = False,
    wait: Annotated[
        float, typer.Option("--wait", min=0, max=300, metavar="SECONDS", help="At most, for what follows.")
    ] = 5,
    output: Output = Format.TABLE,
    socket: Socket = None,
) -> bool:
    """Signal the first process, or another, and show what came of it; exit 1 when nobody took it."""
    from podsupd.cli import signal as command  # noqa: PLC0415
    from podsupd.core.signal_words import parse  # noqa: PLC0415

    try:
        parse(name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if pid is not None and everyone:
        raise typer.BadParameter("--pid names one process: leave --all out")
    return command.signal(Client(socket), target, name, pid, wait, output, everyone=everyone)


@app.command(rich_help_panel="Pods")
@_answers
def signals(
    pod: Pod,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until interrupted.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=0, max=10_000, help="Begin with the newest so many.")] = 100,
    output: Output = Format.TABLE,
    socket: Socket = None,
) -> None:
    """Show who signalled whom in a pod, what the receiver did with it, and what followed."""
    from podsupd.cli import signals as command  # noqa: PLC0415

    command.signals(Client(socket), pod, limit, output, follow=follow)


@app.command(rich_help_panel="Pods")
@_answers
def drill(
    pod: Pod,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: Output = Format.TABLE,
    socket: Socket = None,
) -> bool:
    """Send the signals whose consequences a pod declares, on purpose; exit 1 unless all expectations are met."""
    from podsupd.cli import drill as command  # noqa: PLC0415

    def confirmed(question: str) -> bool:
        if not sys.stdin.isatty():
            raise typer.BadParameter("a drill ends containers on purpose: give --yes where nobody can be asked")
        return typer.confirm(question, err=True)

    return command.drill(Client(socket), pod, output, ask=None if yes else confirmed)


@app.command(rich_help_panel="Pods")
@_answers
def probe(
    pod: Pod,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Of a PodPolicy's probe, or CONTAINER/liveness and so on.",
            autocompletion=completion.probes,
        ),
    ] = None,
    *,
    output: Output = Format.TABLE,
    socket: Socket = None,
) -> bool:
    """Run a probe now, or all of them, and show what it went through; counts for nothing. Exit 1 when one fails."""
    from podsupd.cli import probe as command  # noqa: PLC0415

    return command.probe(Client(socket), pod, name, output)


@app.command(rich_help_panel="Daemon")
@_answers
def version(*, output: Output = Format.TABLE, socket: Socket = None) -> None:
    """Show the versions of this program and of the daemon."""
    from podsupd.cli import ask  # noqa: PLC0415

    ask.version(Client(socket), output)


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run a command and end the process with its exit code."""
    app(args, prog_name="podsupd")
    sys.exit(0)
