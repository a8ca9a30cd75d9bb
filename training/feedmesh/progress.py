"""A progress bar on a terminal, plain lines otherwise; at most one line every few seconds."""
from __future__ import annotations

import sys
import time

_LINE_SECONDS = 10.0
_BAR_SECONDS = 0.2


class Progress:
    """Counts steps towards a total and says how fast they go. What is brief says nothing at its end unless it took long enough to say something."""

    def __init__(self, name: str, total: int, done: int = 0, brief: bool = False) -> None:
        self._silent_end = brief
        self._name, self._total, self._done, self._first = name, total, done, done
        self._started = self._shown = time.monotonic()
        self._terminal = sys.stdout.isatty()

    def advance(self, note: str = "", steps: int = 1) -> None:
        self._done += steps
        now, finished = time.monotonic(), self._done >= self._total
        if not finished and now - self._shown < (_BAR_SECONDS if self._terminal else _LINE_SECONDS):
            return
        if finished and self._silent_end:
            return
        self._shown, self._silent_end = now, False
        seconds = now - self._started
        left = seconds / max(1, self._done - self._first) * (self._total - self._done)
        text = f"{self._done:,} of {self._total:,}, {seconds:.0f} s" + ("" if finished else f", {left:.0f} s left") + (f", {note}" if note else "")
        if self._terminal:
            filled = round(24 * self._done / max(1, self._total))
            print(f"\r\033[K{self._name} [{'#' * filled}{'.' * (24 - filled)}] {text}", end="\n" if finished else "", flush=True)
        else:
            print(f"{self._name}: {text}", flush=True)
