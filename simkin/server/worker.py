"""One server process: takes its settings from standard input, and the socket by its number."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import sys
import threading
from types import FrameType

import uvicorn

from simkin.server.accepting import accept
from simkin.server.app import create_app
from simkin.server.protocol import PromptHttp
from simkin.server.run import settings_from

GRACE_SECONDS = 1
"""How long answers under way may take once the server is told to end, in whole seconds as uvicorn has it."""

HURRY_SECONDS = 0.7
"""When the process ends whatever is still being sent or decoded. What is committed is committed."""


SWITCH_SECONDS = 0.0005
"""How long a thread that answers may keep the interpreter from the one that talks to clients; five milliseconds, which
is the default, are longer than most answers take."""

COLLECT_AFTER = (50_000, 20, 100)
"""Objects made between collections of garbage, and how many of those lie between thorough ones. An answer leaves
hardly any garbage in circles, while a thorough look at all that was imported holds up every request for a tenth of a
second and more; so that is frozen, and looks at the rest are rare."""

FILES = 65_536
"""Files, connections among them, that a process may have open, where the system lets it."""

_log = logging.getLogger("simkin.server")


class _Server(uvicorn.Server):
    """Shares its socket fairly, and ends in time even where a client or a decoder does not let go."""

    def __init__(self, config: uvicorn.Config, *, shared: bool) -> None:
        super().__init__(config)
        self._shared = shared
        self._accepting: list[asyncio.Task[None]] = []
        self.failed = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])

        def protocol() -> asyncio.Protocol:
            return PromptHttp(self.config, self.server_state, self.lifespan.state)

        for listener in sockets or ():
            listener.setblocking(False)
            taking = accept(listener, protocol, self.server_state.connections, shared=self._shared)
            self._accepting.append(asyncio.create_task(taking))
            self._accepting[-1].add_done_callback(self._deaf)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)  # they look at sockets that are closed next
        await super().shutdown(sockets)

    def _deaf(self, taking: asyncio.Task[None]) -> None:
        if not taking.cancelled():  # a process that takes no more connections makes room for one that does
            _log.critical("no more connections can be taken; this process ends", exc_info=taking.exception())
            self.failed = self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            timer = threading.Timer(HURRY_SECONDS, os._exit, (0,))
            timer.daemon = True
            timer.start()
        self.should_exit = True


def work(number: int) -> None:
    """Serve until told to end, or until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, FILES)), hard))
    settings = settings_from(sys.stdin.buffer.readline())
    sys.setswitchinterval(SWITCH_SECONDS)
    config = uvicorn.Config(
        create_app(settings),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ws="none",
        http=PromptHttp,
    )

    def follow_parent() -> None:
        sys.stdin.buffer.read()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow_parent, daemon=True).start()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    server = _Server(config, shared=settings.workers > 1)
    server.run(sockets=[socket.socket(fileno=number)])
    os._exit(int(server.failed))  # threads may be at something still


if __name__ == "__main__":
    work(int(sys.argv[1]))
