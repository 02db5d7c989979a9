"""Imports a process into a home, and kills itself at the step that it is told.

Arguments: the folder of the node, the file of the process, the number of the step. The steps are
before and after each fsync, rename and transaction.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from aoshell.nodes.local.history import adding
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.node import LocalNode


class Steps:
    """Counts steps, and ends the program at one of them as a kill does."""

    def __init__(self, last: int) -> None:
        self._left = last
        self.begun = False

    def take(self) -> None:
        if self.begun:
            self._left -= 1
            if self._left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            self.take()
            result = call(*args, **kwargs)
            self.take()
            return result

        return called


async def main(folder: Path, file: Path, last: int) -> None:
    steps = Steps(last)
    with (
        patch.object(os, "fsync", steps.around(os.fsync)),
        patch.object(Path, "replace", steps.around(Path.replace)),
        patch.object(Store, "commit", steps.around(Store.commit)),
        patch.object(adding, "SLICE", 1),
    ):
        node = await LocalNode.open(folder)
        steps.begun = True
        await node.restore(file.read_bytes())
        steps.begun = False
        await node.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
