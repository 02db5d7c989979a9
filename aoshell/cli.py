"""The command `aoshell`: chooses the node and the mode that the arguments ask for.

Exit codes: 0; 1 if a line failed; 2 if the command line cannot be understood; 130 after Ctrl-C
without a terminal. `aoshell attest` has its own, for verdicts.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from aoshell import interrupts
from aoshell.backends import Backend, LocalBackend, RemoteBackend, fetch_module
from aoshell.errors import AoError, UsageError
from aoshell.scarcity import refuse_too_little, to_ao_error

if TYPE_CHECKING:
    from aoshell.attest.evidence import Evidence
    from aoshell.home.endpoints import Endpoints
    from aoshell.home.folders import Settings
    from aoshell.nodes.base import Node
    from aoshell.nodes.values import Module, ProcessInfo
    from aoshell.profiling.workers import WorkerTimes
    from aoshell.protocol.wallet import Wallet
    from aoshell.shell.attached.past import Past, Recorded
    from aoshell.shell.flags.options import Options
    from aoshell.shell.ports.forking import Changed, Comparison, ForkedNetwork
    from aoshell.shell.ports.serving import Served
    from aoshell.shell.start import Start
    from aoshell.shell.view.render import Renderer

FAILED, MISUSED = 1, 2
FIRST_PROMPT = "aos> "


def main(argv: Sequence[str] | None = None, backend: Backend | None = None) -> int:
    """Entry point. Returns the exit code."""
    _open_streams()
    try:
        refuse_too_little()
        return _run(list(sys.argv[1:] if argv is None else argv), backend)
    except AoError as error:
        return _show_error(error)
    except KeyboardInterrupt:
        return interrupts.INTERRUPTED
    except BrokenPipeError:
        return FAILED  # nobody reads any more
    except Exception as error:
        return _show_error(to_ao_error(error))


def _open_streams() -> None:
    """Open standard streams that the parent closed, before another file gets their number.

    Reading and answers then fail as on the closed stream, and notes are lost.
    """
    streams = (
        ("stdin", os.O_WRONLY, "r"),
        ("stdout", os.O_RDONLY, "w"),
        ("stderr", os.O_WRONLY, "w"),
    )
    for number, (name, flags, mode) in enumerate(streams):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, flags)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - stays open


def _run(arguments: list[str], backend: Backend | None) -> int:
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    if arguments in (["--version"], ["version"]):
        from aoshell import __version__

        return _write_out(f"aoshell {__version__}\n")
    if arguments[:1] == ["test"]:
        from aoshell.testing.command import main as test

        return test(arguments[1:])
    if arguments[:1] == ["fuzz"]:
        from aoshell.fuzz.command import main as fuzz

        return fuzz(arguments[1:], _fetch)
    if arguments[:1] == ["serve"]:
        from aoshell.serve.command import main as serve

        return serve(arguments[1:], _served_backend, _throw_away)
    if arguments[:1] == ["fork"]:
        from aoshell.forks.command import main as fork

        return fork(arguments[1:], _served_backend)
    if arguments[:1] == ["compare"]:
        from aoshell.forks.compare_command import main as compare

        return compare(arguments[1:])
    if arguments[:1] in (["dump"], ["load"]):
        from aoshell.states.command import main as dump_or_load

        return dump_or_load(arguments[0], arguments[1:])
    if arguments[:2] == ["attest", "measure"]:
        from aoshell.shell.attestation.measure import main as measure

        return measure(arguments[2:])
    if arguments[:1] == ["attest"]:
        from aoshell.shell.attestation.command import main as attest

        return attest(arguments[1:], _ask)
    if arguments[:1] == ["completion"]:
        from aoshell.commandline.command import main as completion

        return completion(arguments[1:], _known_names)
    try:
        options = _parse_options(arguments)
    except SystemExit as leaving:  # argparse has printed the reason
        return leaving.code if isinstance(leaving.code, int) else MISUSED
    return _start(options, backend)


def _known_names() -> list[str]:
    """The names of the processes of this home."""
    from aoshell.home.folders import Settings

    settings = Settings.find()
    return [info.name for info in LocalBackend().processes(settings, lambda _: None)]


async def _ask(endpoint: str, nonce: bytes, *, kind: str = "") -> Evidence:
    """Ask a node for evidence. The import is done only here: a file needs none of it."""
    from aoshell.nodes.remote.hyperbeam.evidence import ask

    return await ask(endpoint, nonce, kind=kind)


def _write_out(text: str) -> int:
    from aoshell.shell.view.streams import writer

    writer(sys.stdout, needed=True)(text)
    return 0


def _start(options: Options, given: Backend | None) -> int:
    from aoshell.home.folders import Settings

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Characters that the terminal's encoding lacks are escaped.
            stream.reconfigure(errors="backslashreplace")
    settings = Settings.find()
    with ExitStack() as around:
        if options.state:
            settings = around.enter_context(_throw_away(settings, options.state))
        times = None
        if options.time_profile:
            from aoshell.profiling.recording import recorded

            times = around.enter_context(recorded(options.time_profile))
        return _open(options, settings, given or _backend(options, settings, times))


def _throw_away(settings: Settings, file: str) -> AbstractContextManager[Settings]:
    """A temporary home with the content of a dump, for one run."""
    from aoshell.states.throwaway import throw_away

    return throw_away(settings, file)


def _open(options: Options, settings: Settings, backend: Backend) -> int:
    if options.list:
        remote = isinstance(backend, RemoteBackend)
        renderer = _renderer(options)
        renderer.processes(backend.processes(settings, renderer.note), remote=remote)
        return 0
    if options.watch:
        return _watch(options, settings, backend)
    interactive = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    if interactive and not options.runs and not options.json:
        return _prompt(options, settings, backend)
    return _batch(options, settings, backend)


def _backend(options: Options, settings: Settings, times: WorkerTimes | None) -> Backend:
    """The node that flags, environment and config file choose.

    Args:
        times: records what the workers compute.
    """
    file, named, gateway = settings.config / "config.toml", False, ""

    def resolved() -> Endpoints:
        from aoshell.home.endpoints import resolve_endpoints

        return resolve_endpoints(options.network, os.environ, file)

    # If nothing could choose another node, a start does not look for one.
    open_gateway = os.environ.get("GATEWAY_URL", "").startswith("http:")  # warned of
    if options.network or "AO_URL" in os.environ or open_gateway or file.exists():
        endpoints = resolved()
        if endpoints.remote and not options.state:
            return RemoteBackend(endpoints, options.wallet, options.verify)
        named, gateway = "kind" in endpoints.sources, endpoints.gateway
    if options.verify:
        raise UsageError(
            "the built-in node's answers need no signature", hint="--verify goes with --node URL"
        )
    return LocalBackend(named, resolved, gateway, follow=times.follow if times else None)


def _served_backend(settings: Settings, fetch: bool) -> Backend:
    """The built-in node; it asks a gateway for modules only if `fetch` is true."""
    endpoints = partial(_endpoints, settings) if fetch else None
    return LocalBackend(named=True, endpoints=endpoints)


def _endpoints(settings: Settings) -> Endpoints:
    """What the environment and the config file name."""
    from aoshell.home.endpoints import resolve_endpoints

    return resolve_endpoints({}, os.environ, settings.config / "config.toml")


async def _fetch(settings: Settings, module: str) -> Module:
    """Code by its transaction id, for `aoshell fuzz`. Progress goes to stderr."""
    from aoshell.shell.view.streams import writer

    tell = writer(sys.stderr, needed=False)
    endpoints = partial(_endpoints, settings)
    return await fetch_module(endpoints, settings, module, lambda line: tell(f"{line}\n"))


def _prompt(options: Options, settings: Settings, backend: Backend) -> int:
    """Show the prompt first, so that keys count from then on; then load the rest."""
    from aoshell.shell.prompt.terminal import Terminal
    from aoshell.shell.view.streams import colours
    from aoshell.shell.view.text import clean_prompt

    known = backend.last_prompt(settings, options.reference or "default")
    prompt = clean_prompt(known or FIRST_PROMPT, colour=colours(sys.stdout))
    interrupts.heed()
    with Terminal(prompt):
        backend.warm()
        from aoshell.shell.prompt.interactive import interact

        return interrupts.run(
            interact(
                backend.prepared(_start_of(options), settings),
                settings,
                backend.open,
                prompt,
                first=tuple(options.script),
                startup=not options.no_startup,
                colour=colours(sys.stdout),
            )
        )


def _batch(options: Options, settings: Settings, backend: Backend) -> int:
    from aoshell.shell.lines.tty import open_input

    typed = not options.runs and sys.stdin.isatty()
    if typed:
        interrupts.heed()
    with nullcontext() if options.runs else open_input(0) as given:
        backend.warm()
        from aoshell.shell.lines.batch import run_batch
        from aoshell.shell.ports.front import Patience

        asking = None
        if typed and sys.stdout.isatty() and not options.json:
            from aoshell.shell.lines.asking import Asking
            from aoshell.shell.view.streams import writer

            asking = Asking(writer(sys.stdout, needed=True))
        return interrupts.run(
            run_batch(
                backend.prepared(_start_of(options), settings),
                settings,
                backend.open,
                _renderer(options),
                options.script,
                reading=given,
                patience=Patience.OWN if options.no_wait else Patience.SETTLED,
                asking=asking,
            )
        )


def _watch(options: Options, settings: Settings, backend: Backend) -> int:
    backend.warm()
    from aoshell.shell.lines.batch import run_watch

    start = backend.prepared(_start_of(options), settings)
    return interrupts.run(run_watch(start, settings, backend.open, _renderer(options)))


def _renderer(options: Options) -> Renderer:
    from aoshell.shell.view.render import Renderer
    from aoshell.shell.view.streams import colours, columns, writer

    colour = colours(sys.stdout, sys.stderr)
    out, err = writer(sys.stdout, needed=True), writer(sys.stderr, needed=False)
    return Renderer(out, err, colour=colour, as_json=options.json, columns=columns)


def _start_of(options: Options) -> Start:
    from dataclasses import replace

    from aoshell.nodes.values import Limits
    from aoshell.protocol.message import tags_of
    from aoshell.protocol.tag_names import AS_SENT
    from aoshell.shell.start import DEFAULT_NAME, Start

    limits = Limits()
    if options.seconds is not None:
        limits = replace(limits, seconds=options.seconds)
    if options.megabytes is not None:
        limits = replace(limits, memory=int(options.megabytes * 1024 * 1024))
    return Start(
        options.watch or options.reference or DEFAULT_NAME,
        options.module,
        options.data,
        (*tags_of(options.pairs), *([AS_SENT] if options.tags_as_sent else [])),
        options.cron,
        options.wallet,
        limits,
        named=bool(options.reference),
        sure=options.sure,
        existing=bool(options.watch),
        record=_record,
        serve=_serve,
        forking=_Forking(),
    )


def _record(past: Past) -> Recorded:
    """Write a session as a test. Imports the recorder only when it is used."""
    from aoshell.testing.recorded.recording import record_session

    return record_session(past)


async def _serve(
    node: Node,
    port: int,
    tell: Callable[[AoError], None],
    sign_as: Callable[[str], Awaitable[Wallet]],
    say: Callable[[str], None],
) -> Served:
    """Serve a node over HTTP. Imports the server only when it is used."""
    from aoshell.home.folders import Settings
    from aoshell.serve.serving import ServeOptions, Serving, network_of
    from aoshell.shell.ports.serving import node_key

    await network_of(node, port)  # may fail, so it comes before a key is made
    key = await node_key(Settings.find(), say)
    return await Serving.open(node, ServeOptions(port), tell=tell, sign_as=sign_as, key=key)


class _Forking:
    """Forks live processes (`shell.ports.forking.Forking`). Imports `forks` only when it is
    used."""

    async def fork(
        self,
        node: Node,
        source: str,
        places: Sequence[str],
        name: str,
        tell: Callable[[str], None],
        *,
        replay: bool,
    ) -> ForkedNetwork:
        from aoshell.forks.network import take_network
        from aoshell.home.folders import Settings

        settings = Settings.find()
        return await take_network(node, settings, source, places, name, tell, replay=replay)

    async def compare(
        self,
        node: Node,
        process: ProcessInfo,
        source: str,
        first: int,
        last: int | None,
        changed: Changed,
        tell: Callable[[str], None],
    ) -> Comparison:
        from aoshell.forks.compared import compare_fork
        from aoshell.home.folders import Settings

        settings = Settings.find()
        return await compare_fork(node, settings, process, source, first, last, changed, tell)


def _parse_options(arguments: list[str]) -> Options:
    if not arguments:
        from aoshell.shell.flags.options import Options

        return Options()
    from aoshell.shell.flags.arguments import parse_arguments

    return parse_arguments(arguments)


def _show_error(error: AoError) -> int:
    from aoshell.shell.view.streams import writer
    from aoshell.shell.view.text import clean

    writer(sys.stderr, needed=False)(clean(str(error), colour=False) + "\n")
    return MISUSED if isinstance(error, UsageError) else FAILED


if __name__ == "__main__":
    sys.exit(main())
