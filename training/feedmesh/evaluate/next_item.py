"""Training and full ranking of next-item models: leave-one-out, resumable after each epoch."""
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from .. import provenance
from ..data.sequences import Sequences
from ..loop import device
from ..progress import Progress
from .metrics import calibration_error, ranking_metrics, target_ranks
from .sequence_model import ModelConfig, SequenceModel


@dataclass(frozen=True)
class TrainingConfig:
    epochs: int = 30
    batch_tokens: int = 8192
    learning_rate: float = 1e-3
    warmup: float = 0.03
    weight_decay: float = 0.0
    average: float = 0.0
    validate_every: int = 2
    seed: int = 1


def window(sequences: Sequences, user: int, held_out: int, length: int, offset: int = 0) -> slice:
    """Where the newest `length` events of a user lie, without the last `held_out` and `offset` events."""
    end = sequences.starts[user + 1] - held_out - offset
    return slice(max(sequences.starts[user], end - length), end)


def padded(parts: list[np.ndarray]) -> torch.Tensor:
    out = np.zeros((len(parts), max(map(len, parts))), dtype=np.int64)
    for row, part in enumerate(parts):
        out[row, : len(part)] = part
    return torch.from_numpy(out)


def training_batches(sequences: Sequences, length: int, tokens: int, random: np.random.Generator):
    """One epoch: each user once, with at most length + 1 events of all but the last two, in batches of like length.

    Half of the users with longer histories show their newest events, half a window drawn at random.
    """
    windows = []
    for user in range(sequences.users):
        spare = sequences.starts[user + 1] - sequences.starts[user] - 2 - (length + 1)
        offset = int(random.integers(spare + 1)) if spare > 0 and random.random() < 0.5 else 0
        windows.append(window(sequences, user, 2, length + 1, offset))
    # Sorting by length with noise keeps padding near 5 % and still mixes users between epochs.
    sizes = np.array([part.stop - part.start for part in windows])
    order = np.argsort(sizes * random.uniform(0.95, 1.05, len(sizes)))
    batches, batch, longest = [], [], 0
    for user in order:
        longest = max(longest, sizes[user])
        if batch and longest * (len(batch) + 1) > tokens:
            batches.append(batch)
            batch, longest = [], sizes[user]
        batch.append(user)
    batches.append(batch)
    for index in random.permutation(len(batches)):
        parts = [windows[user] for user in batches[index]]
        yield (padded([sequences.items[p][:-1] for p in parts]), padded([sequences.actions[p][:-1] for p in parts]),
               padded([sequences.items[p][1:] for p in parts]))


@dataclass(frozen=True)
class Ranking:
    """Per user: the target, its rank (from 0), its negative log probability, and the first item's probability and whether it was right."""
    targets: np.ndarray
    ranks: np.ndarray
    losses: np.ndarray
    confidence: np.ndarray
    right: np.ndarray

    def metrics(self, chosen: np.ndarray | None = None) -> dict[str, float]:
        chosen = np.ones(len(self.ranks), dtype=bool) if chosen is None else chosen
        return ranking_metrics(self.ranks[chosen])

    def calibration(self) -> dict[str, float]:
        return {"log loss": float(self.losses.mean()), "ECE of top 1": calibration_error(self.right.astype(float), self.confidence)}


@torch.no_grad()
def full_ranking(score, sequences: Sequences, held_out: int, length: int, batch: int = 128) -> Ranking:
    """Ranks each user's event number `held_out` from the end (1 = last) among the whole catalogue.

    Only what came before it is shown to `score`(items, actions, lengths), at most `length` events. Items seen before are left out
    of the ranking, as the published tables do, unless users repeat items in this data set.
    """
    users, progress = np.argsort(np.diff(sequences.starts), kind="stable"), Progress("rank", sequences.users, brief=True)
    remove_seen = not sequences.repeats
    out = Ranking(*(np.zeros(sequences.users, dtype=t) for t in (np.int64, np.int64, np.float64, np.float64, bool)))
    for start in range(0, len(users), batch):
        group = users[start:start + batch]
        parts = [window(sequences, user, held_out, length) for user in group]
        lengths = torch.tensor([p.stop - p.start for p in parts])
        scores = score(padded([sequences.items[p] for p in parts]), padded([sequences.actions[p] for p in parts]), lengths).numpy()
        targets = np.array([sequences.items[p.stop] for p in parts])
        if remove_seen:
            for row, user in enumerate(group):
                scores[row, sequences.history(user, held_out)] = -np.inf
        ranks = target_ranks(scores, targets)
        top = scores.max(axis=1)
        mass = np.log(np.exp(scores - top[:, None]).sum(axis=1)) + top
        out.targets[group], out.ranks[group], out.right[group] = targets, ranks, ranks == 0
        out.losses[group] = mass - scores[np.arange(len(group)), targets]
        out.confidence[group] = np.exp(top - mass)
        progress.advance(steps=len(group))
    return out


def model_scores(model: SequenceModel):
    def score(items: torch.Tensor, actions: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        model.eval()
        with torch.autocast(device().type, torch.bfloat16):
            return model.scores(*(t.to(device()) for t in (items, actions, lengths))).float().cpu()
    return score


def data_hash(sequences: Sequences, tokens: torch.Tensor | None, judged: Sequences | None, known: np.ndarray | None) -> str:
    """Hash of all data that a model's weights follow from."""
    arrays = [(f"{name}.{column}", getattr(part, column)) for name, part in (("learned", sequences), ("judged", judged or sequences))
              for column in ("items", "actions", "starts")]
    return provenance.of_arrays([*arrays, *([("tokens", tokens.numpy())] if tokens is not None else []), *([("known", known)] if known is not None else [])])


def settings_of(model_config: ModelConfig, config: TrainingConfig, known: np.ndarray | None) -> dict:
    """As a checkpoint holds them."""
    settings = {"model": model_config.describe(), "training": asdict(config)} | ({} if known is None else {"known": int(known.sum())})
    return json.loads(json.dumps(settings))


def _check_data(checkpoint: Path, state: dict, made_from: str) -> None:
    if "made_from" not in state:
        print(f"{checkpoint} does not say which data it was made from; taken as it is.", flush=True)
    elif state["made_from"] != made_from:
        raise SystemExit(f"{checkpoint} was made from other data or semantic IDs. Delete it or choose another --out.")


def _random_state() -> dict:
    return {"torch_random": torch.get_rng_state(), "cuda_random": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []}


def _restore_random_state(state: dict) -> None:
    torch.set_rng_state(state["torch_random"].cpu())
    if torch.cuda.is_available() and len(state.get("cuda_random", [])) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([each.cpu() for each in state["cuda_random"]])


def train(name: str, model_config: ModelConfig, config: TrainingConfig, sequences: Sequences, folder: Path,
          tokens: torch.Tensor | None = None, judged: Sequences | None = None, known: np.ndarray | None = None) -> SequenceModel:
    """Trains, or goes on where a checkpoint stopped, and returns the weights that were best on validation (NDCG@10).

    `judged` holds the histories that validation shows, where they differ from what the model may learn from. `known` [items + 1] says
    which items are in the catalogue at training time (all): the others are never ranked while training, not even as negatives.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings, made_from = settings_of(model_config, config, known), data_hash(sequences, tokens, judged, known)
    places = torch.from_numpy(np.where(known, np.cumsum(known) - 1, -1)).to(device()) if known is not None else None
    checkpoint, best_file = folder / f"{name}.checkpoint.pt", folder / f"{name}.best.pt"
    torch.manual_seed(config.seed)
    random = np.random.default_rng(config.seed)
    model = SequenceModel(model_config, tokens).to(device())
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=config.weight_decay)
    steps_per_epoch = sum(1 for _ in training_batches(sequences, model_config.length, config.batch_tokens, np.random.default_rng(config.seed)))
    total = steps_per_epoch * config.epochs
    shape = lambda step: min(1.0, (step + 1) / (config.warmup * total)) * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * min(1.0, step / total))))
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, shape)
    average = {k: v.clone() for k, v in model.state_dict().items()}
    epoch, best, log = 0, -1.0, []
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device())
        if state["settings"] != settings:
            raise SystemExit(f"{checkpoint} was made with other settings: {state['settings']}. Delete it or choose another --out.")
        _check_data(checkpoint, state, made_from)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        average, epoch, best, log = state["average"], state["epoch"], state["best"], state["log"]
        _restore_random_state(state)
        random.bit_generator.state = state["random"]
    evaluated = SequenceModel(model_config, tokens).to(device())
    while epoch < config.epochs:
        model.train()
        started, losses, progress = time.monotonic(), [], Progress(f"{name}, epoch {epoch + 1} of {config.epochs}", steps_per_epoch, brief=True)
        for items, actions, targets in training_batches(sequences, model_config.length, config.batch_tokens, random):
            with torch.autocast(device().type, torch.bfloat16):
                loss = model.loss(*(t.to(device()) for t in (items, actions, targets)), places)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            losses.append(float(loss))
            progress.advance(f"loss {np.mean(losses):.4f}")
            decay = min(config.average, (len(losses) + epoch * steps_per_epoch) / (10 + len(losses) + epoch * steps_per_epoch))
            for key, value in model.state_dict().items():
                if value.is_floating_point():
                    average[key].lerp_(value, 1 - decay)
                else:
                    average[key].copy_(value)
        epoch += 1
        entry = {"epoch": epoch, "loss": float(np.mean(losses)), "seconds": time.monotonic() - started}
        if epoch % config.validate_every == 0 or epoch == config.epochs:
            evaluated.load_state_dict(average)
            entry |= full_ranking(model_scores(evaluated), judged or sequences, 2, model_config.length).metrics()
            if entry["NDCG@10"] > best:
                best = entry["NDCG@10"]
                torch.save(average, best_file)
        log.append(entry)
        print(name, " ".join(f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}" for k, v in entry.items()), flush=True)
        temporary = checkpoint.with_suffix(".tmp")
        torch.save({"settings": settings, "made_from": made_from, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict(),
                    "average": average, "epoch": epoch, "best": best, "log": log, **_random_state(),
                    "random": random.bit_generator.state}, temporary)
        temporary.replace(checkpoint)
    evaluated.load_state_dict(torch.load(best_file, map_location=device()))
    evaluated.eval()
    return evaluated


def trained(name: str, model_config: ModelConfig, config: TrainingConfig, folder: Path, made_from: str, tokens: torch.Tensor | None = None,
            known: np.ndarray | None = None) -> tuple[SequenceModel, int]:
    """The weights that were best on validation so far, and how many epochs are done: for tables of runs that were stopped.

    All settings must be the asked ones, but for the number of epochs, which is told."""
    checkpoint = folder / f"{name}.checkpoint.pt"
    if not checkpoint.exists() or not (folder / f"{name}.best.pt").exists():
        raise SystemExit(f"{folder} holds no validated checkpoint of {name}. Leave --as-is out to train it.")
    state = torch.load(checkpoint, map_location=device())
    asked, found = settings_of(model_config, config, known), state["settings"]
    differing = {**_flat(found), **_flat(asked)}.keys() - {"training epochs"}
    differing = sorted(key for key in differing if _flat(found).get(key) != _flat(asked).get(key))
    if differing:
        raise SystemExit(f"{checkpoint} was made with other settings: "
                         + ", ".join(f"{key} {_flat(found).get(key)}, not {_flat(asked).get(key)}" for key in differing) + ".")
    _check_data(checkpoint, state, made_from)
    model = SequenceModel(model_config, tokens).to(device())
    model.load_state_dict(torch.load(folder / f"{name}.best.pt", map_location=device()))
    return model.eval(), state["epoch"]


def _flat(settings: dict) -> dict:
    return {f"{part} {key}": value for part, values in settings.items() for key, value in (values.items() if isinstance(values, dict) else [("items", values)])}
