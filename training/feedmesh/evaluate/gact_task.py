"""GACT against plain attention on long histories: the same encoder, data and width, only the folding k differs; k = 1 is plain attention.

The task is made so that the whole history matters. A user has wishes in 8 dimensions; items have content there, scattered around 64 topics.
The history is sessions of about 8 events, mostly of one topic, each event with an action or none by the logistic of wish . content. Asked is
whether the user acts on items of topics drawn evenly. Each event tells less than one bit about 8 wishes, so more history tells more.
"""
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .. import provenance
from ..config import EncoderConfig
from ..loop import device
from ..nn.gact import GactEncoder
from ..progress import Progress
from .metrics import auc
from .report import machine, publish

TOPICS, ASPECTS, SESSION, STRAY = 64, 8, 8, 0.2
WIDTH, LAYERS, HEADS, GLOBALS = 128, 2, 4, 4
USERS, CANDIDATES, TEST_USERS = 8, 64, 512


class LongHistories:
    """Draws users without end. The topics are the world's, so training and test share them and nothing else."""

    def __init__(self, length: int, seed: int):
        self.length = length
        self.topics = np.random.default_rng(1_000 + seed).normal(0, 1, (TOPICS, ASPECTS)).astype(np.float32)

    def draw(self, users: int, random: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, np.ndarray]:
        """History content [users, length, aspects] and actions [users, length], candidates' content and labels, and the labels' true log-odds."""
        wish = random.normal(0, 2 / ASPECTS ** 0.5, (users, ASPECTS))
        taste = wish @ self.topics.T
        session = np.cumsum(random.random((users, self.length)) < 1 / SESSION, axis=1)
        likely = np.cumsum(np.exp(taste / 2), axis=1)
        picks = random.random((users, self.length + 1)) * likely[:, -1:]
        chosen = np.stack([np.searchsorted(row, pick, side="right") for row, pick in zip(likely, picks)]).clip(max=TOPICS - 1)
        topic = np.take_along_axis(chosen, session, axis=1)
        topic = np.where(random.random(topic.shape) < STRAY, random.integers(TOPICS, size=topic.shape), topic)
        history, actions, _ = self._act(topic, wish, random)
        candidates, labels, odds = self._act(random.integers(TOPICS, size=(users, CANDIDATES)), wish, random)
        return torch.from_numpy(history), torch.from_numpy(actions), torch.from_numpy(candidates), torch.from_numpy(labels), odds

    def _act(self, topic: np.ndarray, wish: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        content = self.topics[topic] + random.normal(0, 0.5, (*topic.shape, ASPECTS)).astype(np.float32)
        odds = np.einsum("uea,ua->ue", content, wish)
        return content, (random.random(topic.shape) < 1 / (1 + np.exp(-odds))).astype(np.int64), odds


class LongHistoryModel(nn.Module):
    """The mesh's own encoder; candidates attend to its layers, each alone, and meet the pooled history in a dot product."""

    def __init__(self, length: int, fold: int):
        super().__init__()
        self.event = nn.Sequential(nn.Linear(ASPECTS + 1, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))
        self.content = nn.Linear(ASPECTS, WIDTH)
        self.fold, self.length = fold, length + -length % fold
        self.encoder = GactEncoder(EncoderConfig(token=WIDTH, fold=fold, width=WIDTH, layers=LAYERS, heads=HEADS, globals=GLOBALS), self.length)
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 1)
        self.wish, self.offer = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, history: torch.Tensor, actions: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
        pad = self.length - history.shape[1]
        tokens = F.pad(self.event(torch.cat([history, 2.0 * actions.unsqueeze(-1) - 1], dim=-1)), (0, 0, pad, 0))
        mask = F.pad(torch.ones(actions.shape, device=actions.device), (pad, 0))
        layers, _, pooled = self.encoder(tokens, tokens[:, -1:], mask)
        offered = self.content(candidates)
        x = offered + pooled.unsqueeze(1)
        for block, (keys, values) in zip(self.encoder.blocks, layers):
            x = block.candidates(x, keys, values)
        return self.head(self.norm(x)).squeeze(-1) + (self.offer(offered) * self.wish(pooled).unsqueeze(1)).sum(-1) * WIDTH ** -0.5


def step(model: LongHistoryModel, optimizer: torch.optim.Optimizer, batch: tuple) -> float:
    history, actions, candidates, labels = (part.to(device()) for part in batch[:4])
    loss = F.binary_cross_entropy_with_logits(model(history, actions, candidates), labels.float())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return float(loss)


def quality(length: int, fold: int, seed: int, steps: int) -> dict[str, float]:
    """AUC and log loss on users never trained on, after `steps` batches of fresh users; and the AUC of who knows the tastes."""
    torch.manual_seed(seed)
    world, random = LongHistories(length, seed), np.random.default_rng(seed)
    model = LongHistoryModel(length, fold).to(device())
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(1, (s + 1) / 30) * (0.02 + 0.98 * (1 - s / steps)))
    progress = Progress(f"L {length}, k {fold}, seed {seed}", steps, brief=True)
    for _ in range(steps):
        loss = step(model, optimizer, world.draw(USERS, random))
        schedule.step()
        progress.advance(f"loss {loss:.4f}")
    model.eval()
    labels, logits, odds = [], [], []
    test = np.random.default_rng(10_000 + seed)
    with torch.no_grad():
        for _ in range(TEST_USERS // USERS):
            history, actions, candidates, wanted, truth = world.draw(USERS, test)
            labels.append(wanted.numpy().ravel())
            logits.append(model(*(part.to(device()) for part in (history, actions, candidates))).cpu().numpy().ravel())
            odds.append(truth.ravel())
    labels, logits, odds = map(np.concatenate, (labels, logits, odds))
    return {"auc": auc(labels, logits), "log loss": float(np.mean(np.logaddexp(0, logits) - labels * logits)), "oracle": auc(labels, odds)}


def cost(length: int, fold: int, steps: int = 6) -> dict[str, float]:
    """Fastest of a few training steps, and how far memory (the GPU's where there is one, else what is resident) grew above the moment
    before the first. Run in a process of its own."""
    world, random = LongHistories(length, 1), np.random.default_rng(1)
    model = LongHistoryModel(length, fold).to(device())
    optimizer = torch.optim.Adam(model.parameters())
    batches = [world.draw(USERS, random) for _ in range(steps)]
    on_gpu = device().type == "cuda"
    before = torch.cuda.memory_allocated() if on_gpu else int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    seconds = []
    for batch in batches:
        started = time.perf_counter()
        step(model, optimizer, batch)  # ends with the loss on the CPU, so the GPU's forward is done
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return {"seconds": min(seconds), "bytes": (torch.cuda.max_memory_allocated() if on_gpu else peak_resident()) - before}


def peak_resident() -> int:
    """Bytes of this process's largest resident set. Not getrusage's: on Linux that begins with the peak of whoever started the process."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])


def remembered(file: Path, key: str, compute) -> dict[str, float]:
    """The stored result of a part, or its computed one, stored at once: a run that is stopped goes on where it was."""
    known = json.loads(file.read_text()) if file.exists() else {}
    if key not in known:
        known[key] = compute()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(known, indent=1))
        print(key, known[key], flush=True)
    return known[key]


def check_parts(file: Path) -> None:
    """Refuses stored parts of another task or machine, and marks new ones."""
    made_from = provenance.of_text(repr((TOPICS, ASPECTS, SESSION, STRAY, WIDTH, LAYERS, HEADS, GLOBALS, USERS, CANDIDATES, TEST_USERS, machine())))
    known = json.loads(file.read_text()) if file.exists() else {"made from": made_from}
    if "made from" not in known:
        print(f"{file} does not say what it was made from; taken as it is.", flush=True)
    elif known["made from"] != made_from:
        raise SystemExit(f"{file} is of another machine, number of threads or size of the task. Delete it or choose another --out.")
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(known, indent=1))


def cost_in_child(length: int, fold: int) -> dict[str, float]:
    child = subprocess.run([sys.executable, "-m", __spec__.name, str(length), str(fold)], capture_output=True, text=True, check=False)
    if child.returncode != 0:
        raise SystemExit(f"Measuring L = {length}, k = {fold} failed with {child.returncode}: {child.stderr[-500:]}")
    return json.loads(child.stdout)


def run_gact(options, out: Path) -> None:
    lengths, folds = ([int(x) for x in text.split(",")] for text in (options.lengths, options.folds))
    if not all(1 <= x <= 16_384 for x in lengths) or not all(1 <= k <= 16 for k in folds) or not 1 <= options.seeds <= 100:
        raise SystemExit("--lengths must be 1..16384, --folds 1..16, --seeds 1..100.")
    folds = sorted({1, *folds})
    parts, rows = out / "parts.json", []
    check_parts(parts)
    for length in lengths:
        plain = None
        for fold in folds:
            spent = [remembered(parts, f"cost L={length} k={fold} run={run}", lambda: cost_in_child(length, fold)) for run in range(2)]
            seconds, size = (min(run[name] for run in spent) for name in ("seconds", "bytes"))
            plain = plain or (seconds, size)
            found = [remembered(parts, f"quality L={length} k={fold} seed={seed} steps={options.steps}",
                                lambda: quality(length, fold, seed, options.steps)) for seed in range(options.seed, options.seed + options.seeds)]
            aucs = np.array([run["auc"] for run in found])
            rows.append({"L": length, "k": fold, "tokens": GLOBALS + 1 + -(-length // fold), "AUC": float(aucs.mean()), "std": float(aucs.std(ddof=1)) if len(aucs) > 1 else float("nan"),
                         "oracle": float(np.mean([run["oracle"] for run in found])), "log loss": float(np.mean([run["log loss"] for run in found])),
                         "step ms": round(1000 * seconds, 1), "faster": f"{plain[0] / seconds:.1f}x", "MiB": round(size / 2**20), "less memory": f"{plain[1] / size:.1f}x"})
    publish("gact", "GACT against plain attention (k = 1)", [
        f"The same encoder ({LAYERS} blocks, width {WIDTH}, {HEADS} heads, {GLOBALS} global tokens), {USERS} users x {CANDIDATES} candidates a step, float32; {options.steps} steps of fresh users, "
        f"{options.seeds} seeds from {options.seed}; AUC on {TEST_USERS} new users, mean and standard deviation over seeds. Oracle: who knows the tastes.",
        "Synthetic histories: sessions of about 8 events on one of 64 topics, tastes drawn per user; see evaluate/gact_task.py.",
        "Step: fastest of 6, twice, in a process of its own; memory: growth of its peak (of the GPU's memory where there is one, else of the resident size) over the same steps.",
        "Published at L = 800, k = 4, on an accelerator: 6.2x faster, 12.9x less memory."], rows, out, options.json)


if __name__ == "__main__":
    print(json.dumps(cost(int(sys.argv[1]), int(sys.argv[2]))))
