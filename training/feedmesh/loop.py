"""What every training step shares: device, seeds, schedule, checkpoints that resume, and losses on file."""
from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from . import provenance
from .config import Config
from .progress import Progress

CHECKPOINT_SECONDS = 60.0
WARMUP_STEPS = 100


def device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def warn_if_slow() -> None:
    """Says so where matrix products run on the reference BLAS, which takes 35 times longer than OpenBLAS (5 against 190 GFLOP/s)."""
    if device().type == "cuda":
        return
    x = torch.randn(384, 384)
    x @ x
    started = time.perf_counter()
    x @ x
    gflops = 2 * 384 ** 3 / (time.perf_counter() - started) / 1e9
    if gflops < 8:
        print(f"Matrix products run at {gflops:.0f} GFLOP/s: this is the reference BLAS, or a busy machine. "
              "Debian: apt-get install libopenblas0-openmp makes training many times faster.", file=sys.stderr)


def autocast(config: Config) -> AbstractContextManager:
    """bfloat16 for the matrix products where the configuration asks for it."""
    return torch.autocast(device().type, dtype=torch.bfloat16, enabled=config.bf16)


@dataclass
class Training:
    """One module trained for a number of steps. Batches are drawn from (seed, step), so that a resumed run goes on as if never stopped."""

    name: str
    module: nn.Module
    config: Config
    out: Path
    steps: int
    learning_rate: float
    weight_decay: float = 0.01
    made_from: dict[str, str] | None = None  # hashes of the data and of the earlier steps; a checkpoint of others is not gone on with

    def run(self, loss_of: Callable[[np.random.Generator], Tensor]) -> list[float]:
        """Minimises loss_of(generator); returns the losses by step."""
        self.out.mkdir(parents=True, exist_ok=True)
        self.module.to(device()).train()
        tables = [p for m in self.module.modules() if isinstance(m, nn.Embedding) for p in m.parameters()]
        known = {id(p) for p in tables}
        rest = [p for p in self.module.parameters() if id(p) not in known]
        # Rows of tables are met rarely: decay would shrink them between two meetings.
        optimizer = torch.optim.AdamW([{"params": rest, "weight_decay": self.weight_decay}, {"params": tables, "weight_decay": 0.0}], lr=self.learning_rate)
        start, losses = self._resume(optimizer)
        progress = Progress(self.name, self.steps, start)
        saved = time.monotonic()
        for step in range(start, self.steps):
            torch.manual_seed((self.config.seed << 32) + step)
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate * _schedule(step, self.steps)
            with autocast(self.config):
                loss = loss_of(np.random.default_rng([self.config.seed, step]))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                raise FloatingPointError(f"{self.name}: the loss is {losses[-1]} at step {step}. Lower learning_rate {self.learning_rate}.")
            progress.advance(f"loss {np.mean(losses[-100:]):.4f}")
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                self._save(optimizer, losses)
                saved = time.monotonic()
        self._save(optimizer, losses)
        (self.out / f"{self.name}.losses.json").write_text(json.dumps([round(loss, 5) for loss in losses]))
        self.module.eval()
        return losses

    @property
    def _file(self) -> Path:
        return self.out / f"{self.name}.checkpoint.pt"

    @property
    def _configuration(self) -> str:
        return repr(self.config.of_training())

    def _resume(self, optimizer: torch.optim.Optimizer) -> tuple[int, list[float]]:
        if not self._file.exists():
            return 0, []
        state = torch.load(self._file, map_location=device())
        if self.made_from is not None and state.get("made_from") != self.made_from:
            print(f"{self.name}: {self._file} was made from other {provenance.differences(state.get('made_from'), self.made_from)}; starting anew.")
            return 0, []
        if state["config"] != self._configuration:
            print(f"{self.name}: {self._file} is of another configuration; starting anew.")
            return 0, []
        self.module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
        print(f"{self.name}: resumed at step {len(state['losses'])} of {self.steps}.")
        return len(state["losses"]), state["losses"]

    def _save(self, optimizer: torch.optim.Optimizer, losses: list[float]) -> None:
        partial = self._file.with_suffix(".partial")
        torch.save({"config": self._configuration, "made_from": self.made_from, "module": self.module.state_dict(),
                    "optimizer": optimizer.state_dict(), "losses": losses}, partial)
        partial.rename(self._file)


def _schedule(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to a twentieth."""
    warmup = min(WARMUP_STEPS, steps // 10 + 1)
    if step < warmup:
        return (step + 1) / warmup
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
