"""What a server is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass

from index.address import Place


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one server.

    Attributes:
        catalog: The catalog's folder, or ``postgresql://…``.
        api_key: What a request must bring; empty for none.
        write: Whether items can be added, changed and removed, and feedback given; needs a key.
        hosts: Names that the server may be asked by; empty for any.
        workers: Server processes.
        threads: Threads of one process that answer questions, each with a connection of its own.
        waiting: Requests of one kind that may wait for a thread; more are sent away.
        uploads: Bodies that are received at the same time.
        upload_bytes: Largest body with a file in it.
        body_bytes: Largest body without.
        body_seconds: Longest time that a body may take to arrive.
        pause_seconds: Longest pause in it.
        answer_bytes: Memory for answers already given, until the catalog changes.
        thumbnail_bytes: Memory for thumbnails already drawn.
    """

    catalog: Place
    api_key: str = ""
    write: bool = False
    hosts: tuple[str, ...] = ()
    workers: int = 1
    threads: int = 2
    waiting: int = 128
    uploads: int = 32
    upload_bytes: int = 64 << 20
    body_bytes: int = 1 << 20
    body_seconds: float = 60.0
    pause_seconds: float = 10.0
    answer_bytes: int = 16 << 20
    thumbnail_bytes: int = 48 << 20
