"""Imports or deletes a process of a home, and kills itself at the step that it is told.

Arguments: the folder of the node, the number of the step, `import` and the file of a process, or
`delete` and its id. The steps are before and after each fsync, rename, removal and transaction.
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

from aoshell.nodes.local.history import adding, cutting
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


async def main(folder: Path, last: int, deed: str, of: str) -> None:
    steps = Steps(last)
    with (
        patch.object(os, "fsync", steps.around(os.fsync)),
        patch.object(Path, "replace", steps.around(Path.replace)),
        patch.object(Store, "commit", steps.around(Store.commit)),
        patch.object(Store, "forget", steps.around(Store.forget)),
        patch.object(Store, "set_meta", steps.around(Store.set_meta)),
        patch.object(Path, "unlink", steps.around(Path.unlink)),
        patch.object(adding, "SLICE", 1),
        patch.object(cutting, "SLICE", 1),
    ):
        node = await LocalNode.open(folder)
        steps.begun = True
        if deed == "import":
            await node.restore(Path(of).read_bytes())
        else:
            await node.delete(of)
        steps.begun = False
        await node.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]))
