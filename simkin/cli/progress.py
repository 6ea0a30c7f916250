"""Progress on stderr: done, total, rate, time left, failures."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm

    from index.embedding.rates import Rates
    from index.ingesting.ingest import Progress

QUIET_SECONDS = 10.0
"""Where stderr is no terminal, a line is printed this often."""

_WORDS = {
    "scan": "looking for files",
    "describe": "describing",
    "store": "storing vectors",
    "build": "building the index",
    "fit": "laying out",
    "place": "placing items",
    "features": "looking at pictures",
    "judging": "judging",
    "exporting": "exporting",
}


class ProgressBar:
    """Shows ``Progress`` as a bar on a terminal, as occasional lines elsewhere."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar: tqdm[None] | None = None
        self._stage = ""
        self._first = 0
        self._said = self._started = self._rated = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        """Take one more progress report."""
        self.show(progress.stage, progress.done, progress.total, progress.failed)

    def show(self, stage: str, done: int, total: int, failed: int = 0) -> None:
        """Show how far a stage is."""
        if self._quiet:
            return
        if stage != self._stage:
            self.close()
            self._stage, self._started = stage, time.monotonic()
            self._first = done  # of a run before, which this one goes on from
            self._said = self._started
        if sys.stderr.isatty():
            self._draw(stage, done, total, failed)
        elif time.monotonic() - self._said > QUIET_SECONDS and total:
            self._said = time.monotonic()
            rate = (done - self._first) / (self._said - self._started)
            left = f", {(total - done) / rate:.0f} s left" if rate else ""
            text = f"{_WORDS.get(stage, stage)}: {done} of {total}, {rate:.1f}/s{left}, {failed} failed"
            print(text, file=sys.stderr)

    def show_rates(self, rates: Rates) -> None:
        """Print now and then how fast each stage of a job is, and which one is the bottleneck."""
        if self._quiet or time.monotonic() - self._rated < QUIET_SECONDS:
            return
        self._rated = time.monotonic()
        stages = ", ".join(f"{stage} {rate:,.0f}/s" for stage, rate in rates.stages.items())
        if rates.bottleneck in rates.busy:
            who = f"bottleneck: {rates.bottleneck}, {rates.busy[rates.bottleneck]:.0%} busy"
        else:
            who = "bottleneck: waiting for workers or files"
        text = f"stages: {stages}; {who}; {rates.workers} workers"
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr)

    def close(self) -> None:
        """End the bar that is shown."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _draw(self, stage: str, done: int, total: int, failed: int) -> None:
        if self._bar is None:
            from tqdm import tqdm

            words = _WORDS.get(stage, stage)
            self._bar = tqdm(
                total=total or None, initial=self._first, desc=words, unit="", leave=False, file=sys.stderr
            )
        if failed:
            self._bar.set_postfix(failed=failed, refresh=False)
        self._bar.update(done - self._bar.n)
