"""Taking connections one by one, so that processes that share a socket share its connections."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sized

TURN_SECONDS = 0.001
"""How long a process that has connections leaves a new one to others that may have none."""

FULL_SECONDS = 0.1
"""How long nothing is taken after the system had no room for another connection."""

_log = logging.getLogger("simkin.server")


async def accept(
    listener: socket.socket, protocol: Callable[[], asyncio.Protocol], held: Sized, *, shared: bool
) -> None:
    """Take connections until cancelled.

    An event loop's own server takes all that wait as soon as it wakes: of sixteen clients that come together, the
    first process to wake would have sixteen and the others none. Here each takes one, and leaves the next to the
    others for a moment.

    Args:
        listener: Listening, not blocking.
        protocol: Makes what talks on one connection.
        held: The connections that are open now.
        shared: Whether other processes take from the listener, too.
    """
    loop = asyncio.get_running_loop()
    while True:
        await _readable(listener)
        if shared and len(held):
            await asyncio.sleep(TURN_SECONDS)
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # another process has it, or the client is gone again
            continue
        except OSError as problem:
            _log.warning("a connection could not be taken: %s", problem)
            await asyncio.sleep(FULL_SECONDS)
            continue
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.connect_accepted_socket(protocol, connection)
        except OSError:  # the client is gone again
            connection.close()


async def _readable(listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    waiting = loop.create_future()

    def come() -> None:
        if not waiting.done():
            waiting.set_result(None)

    loop.add_reader(listener, come)
    try:
        await waiting
    finally:
        loop.remove_reader(listener)
