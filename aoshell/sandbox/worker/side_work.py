"""Work that a separate fork does beside the messages: compile a module, make an image.

The answer goes over the side socket, so neither waits for the other.
"""

from __future__ import annotations

import os
import signal
import zlib

from aoshell.sandbox.frames import IMAGE_LIMIT
from aoshell.sandbox.runtime import Host, Runtime
from aoshell.sandbox.worker.confine import die_with_parent
from aoshell.sandbox.worker.fates import describe_fate, read_fate
from aoshell.sandbox.worker.floor import Floor
from aoshell.sandbox.worker.worker_sockets import WorkerSockets

# Seconds of processor time.
IMAGE_SECONDS = 60.0  # that an image may take; nobody waits longer for it
COMPILE_SECONDS = 300.0  # that compiling a module may take
COMPILE_MEMORY = 4 << 30  # bytes that compiling a module may take


def compile_module(
    sockets: WorkerSockets, host: Host, floor: Floor, source: bytes, gas: int
) -> None:
    """Compile a module in a fork, and wait for it."""
    child = os.fork()
    if child:
        how = read_fate(os.waitpid(child, 0)[1])
        if how == "killed":
            os._exit(0)  # a kill from outside says nothing about the module
        if how:
            sockets.send_aside(0, b"", f"compiling it {describe_fate(how, COMPILE_SECONDS)}")
        return
    die_with_parent(True)
    floor.lay(COMPILE_MEMORY, COMPILE_MEMORY, 0)
    floor.lower()
    signal.setitimer(signal.ITIMER_PROF, COMPILE_SECONDS)
    try:
        code, reason = host.compile(source, gas), ""
    except (ValueError, MemoryError) as error:
        code, reason = b"", str(error) or "compiling it takes more memory than it may"
    sockets.send_aside(0, code, reason)
    os._exit(0)


def save_image(sockets: WorkerSockets, runtime: Runtime, floor: Floor, seq: int) -> None:
    """Make an image of the state after a message in a fork, without waiting for it."""
    reap_images()
    # No die_with_parent: the image stays good when a message fails after it and this process ends.
    if os.fork():
        return
    signal.setitimer(signal.ITIMER_PROF, IMAGE_SECONDS)
    floor.lift()
    try:
        image, reason = zlib.compress(runtime.image(), 1), ""
    except (ValueError, MemoryError) as error:
        image, reason = b"", str(error) or "no memory left for it"
    if len(image) > IMAGE_LIMIT:
        image, reason = b"", f"it is larger than {IMAGE_LIMIT >> 20} MB"
    sockets.send_aside(seq, image, reason)
    os._exit(0)


def reap_images() -> None:
    """Collect the forks of images that have ended, or they would stay as zombies."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
