"""The tables of next-item quality: MovieLens-1M, any events.tsv, and items that are new."""
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from .. import provenance
from ..data import ml1m
from ..data.sequences import Sequences, load_events
from .next_item import TrainingConfig, data_hash, full_ranking, model_scores, train, trained
from .report import publish
from .semantic import catalogue_vectors, collision_report, item_tokens, semantic_ids, text_features
from .sequence_model import ModelConfig

LENGTH = 200
COLD_EVENTS = 5


@dataclass(frozen=True)
class Entry:
    """One row of a table: which model, and how it learns."""
    title: str
    model: ModelConfig
    training: TrainingConfig


def entries(items: int, actions: int) -> dict[str, Entry]:
    """SASRec is the published baseline (2 blocks, 64 wide, full cross entropy). The other has gated blocks, as HSTU, and hears actions: a causal
    model of this table, as GACT folds neighbours and cannot predict each of them."""
    sasrec = ModelConfig(items, dim=64, blocks=2, heads=1, dropout=0.2)
    mesh = ModelConfig(items, dim=64, blocks=6, heads=2, block="gated", dropout=0.2, semantic_ids=True, actions=actions, item_id_dropout=0.1)
    schedule = TrainingConfig(epochs=40, learning_rate=1.5e-3, average=0.995)
    return {
        "sasrec": Entry("SASRec, item IDs", sasrec, TrainingConfig(epochs=60, learning_rate=1e-3)),
        "mesh": Entry("gated, semantic IDs + item-ID residual", mesh, schedule),
        "mesh-semantic": Entry("gated, semantic IDs only", replace(mesh, item_ids=False, item_id_dropout=0.0), schedule),
    }


def popularity(counts: np.ndarray):
    """Scores of the one model that needs no training: the log of how often an item occurs in training histories, and once more, so that
    an item that never did is not impossible."""
    scores = torch.log1p(torch.from_numpy(counts.astype(np.float32)))
    scores[0] = float("-inf")
    return lambda items, actions, lengths: scores.expand(len(items), -1).clone()


def chance(items: int, seed: int):
    """Scores that know nothing: a new random order for everybody."""
    generator = torch.Generator().manual_seed(seed)

    def score(shown: torch.Tensor, actions: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        scores = torch.rand(len(shown), items + 1, generator=generator, dtype=torch.float64)
        scores[:, 0] = float("-inf")
        return scores

    return score


def hide_items(sequences: Sequences, hidden: np.ndarray, keep: int = COLD_EVENTS) -> Sequences:
    """The same histories, but of each hidden item only the first `keep` training events. The last two events of a user all stay."""
    left = np.full(sequences.item_count + 1, len(sequences.items))
    left[hidden] = keep
    stay = np.ones(len(sequences.items), dtype=bool)
    for user in range(sequences.users):
        for place in range(sequences.starts[user], sequences.starts[user + 1] - 2):
            left[sequences.items[place]] -= 1
            stay[place] = left[sequences.items[place]] >= 0
    starts = np.concatenate([[0], np.cumsum(stay)])[sequences.starts]
    return Sequences(sequences.items[stay], sequences.actions[stay], starts, sequences.item_count)


def tokens_of(sequences: Sequences, text: np.ndarray, seed: int, folder: Path) -> tuple[torch.Tensor, dict]:
    """Semantic IDs from texts and training histories only: 3 levels of at most 256 codes. Kept beside the checkpoints that depend on them."""
    file = folder / f"semantic-ids-{seed}.pt"
    histories = [sequences.history(user, 2) for user in range(sequences.users)]
    made_from = provenance.of_arrays([("text", text), ("items", np.concatenate(histories)), ("sizes", np.array([len(h) for h in histories]))])
    if not file.exists():
        print("Making semantic IDs from texts and training histories.", flush=True)
        codes = semantic_ids(catalogue_vectors(text, histories), 3, min(256, max(2, sequences.item_count // 4)), seed)
        folder.mkdir(parents=True, exist_ok=True)
        torch.save((torch.from_numpy(item_tokens(codes, sequences.training_counts())), collision_report(codes), made_from), file)
    tokens, report, *known = torch.load(file)
    if not known:
        print(f"{file} does not say which data it was made from; taken as it is.", flush=True)
    elif known[0] != made_from:
        raise SystemExit(f"{file} was made from other data. Delete it or choose another --out.")
    return tokens, report


def rank_all(chosen: dict[str, Entry], learned: Sequences, judged: Sequences, tokens: torch.Tensor | None, folder: Path,
             as_is: bool = False, known: np.ndarray | None = None) -> dict[str, tuple]:
    """Trains each entry, or goes on where it stopped, or with as_is takes what there is; then ranks each user's last event."""
    out = {"popularity": ("Popularity", {"parameters": 0, "epochs": "-"}, full_ranking(popularity(learned.training_counts()), judged, 1, LENGTH))}
    for name, entry in chosen.items():
        own, planned = tokens if entry.model.semantic_ids else None, entry.training.epochs
        if as_is:
            model, done = trained(name, entry.model, entry.training, folder, data_hash(learned, own, judged, known), own, known)
        else:
            model, done = train(name, entry.model, entry.training, learned, folder, own, judged, known), planned
        size = {"parameters": sum(p.numel() for p in model.parameters()), "epochs": f"{done} of {planned}"}
        out[name] = entry.title, size, full_ranking(model_scores(model), judged, 1, entry.model.length)
    return out


def next_item_table(name: str, title: str, sequences: Sequences, text: np.ndarray, chosen: list[str], seed: int, epochs: int | None, out: Path,
                    json_file: Path | None, as_is: bool, notes: list[str]) -> None:
    table = entries(sequences.item_count, int(sequences.actions.max()) + 1)
    unknown = [key for key in chosen if key not in table]
    if unknown:
        raise SystemExit(f"Unknown models {unknown}; there are {list(table)}.")
    folder = out / "checkpoints"
    tokens, collisions = tokens_of(sequences, text, seed, folder) if any(table[key].model.semantic_ids for key in chosen) else (None, {})
    cold = sequences.training_counts()[sequences.items[sequences.starts[1:] - 1]] <= COLD_EVENTS
    picked = {key: replace(table[key], training=replace(table[key].training, seed=seed, epochs=epochs or table[key].training.epochs)) for key in chosen}
    rows = []
    for label, size, ranking in rank_all(picked, sequences, sequences, tokens, folder, as_is).values():
        few = ranking.metrics(cold)
        rows.append({"model": label, **size, **ranking.metrics(), **ranking.calibration(),
                     f"HR@200, {int(cold.sum())} cold": few["HR@200"]})
    publish(name, title, [
        f"{sequences.users} users, {sequences.item_count} items, {len(sequences.items)} events; leave-one-out: the last event is the test, the "
        "one before it chooses the epoch (NDCG@10), models learn from all before these two and see at most the newest 200.",
        "Ranked among the whole catalogue" + ("." if sequences.repeats else ", less what the user met before (nobody repeats an item here, and published tables do so).")
        + " Equal times keep the order of the input; equal scores count against the target.",
        f"Semantic IDs: {', '.join(f'{k} {v:.4g}' for k, v in collisions.items()) or 'none'}; made from texts (where there are any) and from training events only.",
        f"Cold: at most {COLD_EVENTS} training events. Seed {seed}.", *notes], rows, out, json_file, {"semantic_ids": collisions})


def cold_table(name: str, sequences: Sequences, text: np.ndarray, seed: int, epochs: int | None, out: Path, json_file: Path | None,
               as_is: bool) -> None:
    """Hides every tenth well-known item from training, but for 5 events, and asks who still finds it."""
    random = np.random.default_rng(seed)
    known = np.flatnonzero(sequences.training_counts() >= 4 * COLD_EVENTS)
    if not len(known):
        raise SystemExit(f"{name}: no item has {4 * COLD_EVENTS} training events, so none can be made new. --cold needs more data.")
    hidden = random.choice(known, size=max(1, len(known) // 10), replace=False)
    learned = hide_items(sequences, hidden)
    # Scarce items are no part of the catalogue that training ranks, as new items are not when a model is trained.
    known = learned.training_counts() > COLD_EVENTS
    known[0] = True
    folder = out / "checkpoints-cold"
    tokens, _ = tokens_of(learned, text, seed, folder)
    base = ModelConfig(sequences.item_count, dim=64, blocks=2, heads=1, dropout=0.2)
    schedule = TrainingConfig(epochs=epochs or 6, learning_rate=3e-3, validate_every=6, seed=seed)
    chosen = {
        "cold-ids": Entry("item IDs", base, schedule),
        "cold-semantic": Entry("semantic IDs only", replace(base, semantic_ids=True, item_ids=False), schedule),
        "cold-both": Entry("semantic IDs + item-ID residual", replace(base, semantic_ids=True), schedule),
    }
    rows = []
    random_order = "Chance", {}, full_ranking(chance(sequences.item_count, seed), sequences, 1, LENGTH)
    for label, _, ranking in (random_order, *rank_all(chosen, learned, sequences, tokens, folder, as_is, known).values()):
        cold = learned.training_counts()[ranking.targets] <= COLD_EVENTS
        warm, few = ranking.metrics(~cold), ranking.metrics(cold)
        rows.append({"model": label, **{f"cold {k}": few[k] for k in ("HR@10", "HR@50", "HR@200", "NDCG@10")},
                     **{f"warm {k}": warm[k] for k in ("HR@10", "NDCG@10")}})
    publish(f"{name}-cold", f"New items: {name}", [
        f"{len(hidden)} items drawn at random (seed {seed}) keep only {COLD_EVENTS} training events; {int(cold.sum())} test events are of items with so few. "
        "Such items are in the histories, but not in the catalogue that training ranks: neither targets nor negatives.",
        "The same body for all three (2 attention blocks, 64 wide, full cross entropy); only the item encoder differs. Ranked among the whole catalogue."],
        rows, out, json_file)


def run_ml1m(data: Path, out: Path, json_file: Path | None, models: list[str], seed: int, epochs: int | None, cold: bool,
             as_is: bool = False) -> None:
    folder = data if (data / "ml-1m.sasrec.txt.xz").exists() else data / "ml-1m"
    sequences, movies = ml1m.load(folder)
    text = text_features(movies.titles, movies.genres, movies.years)
    if cold:
        cold_table("ml-1m", sequences, text, seed, epochs, out, json_file, as_is)
    else:
        next_item_table("ml-1m", "MovieLens-1M, full ranking", sequences, text, models, seed, epochs, out, json_file, as_is,
                        ["Published on this file and protocol, HR@10/NDCG@10: SASRec+CE .3152/.1821, BERT4Rec .2843/.1537, gSASRec .3003/.1726."])


def run_events(path: Path, out: Path, json_file: Path | None, models: list[str], seed: int, epochs: int | None, cold: bool,
             as_is: bool = False) -> None:
    sequences, _, _ = load_events(path)
    text = np.zeros((sequences.item_count + 1, 0))
    if cold:
        cold_table(path.name.split(".")[0], sequences, text, seed, epochs, out, json_file, as_is)
    else:
        next_item_table(path.name.split(".")[0], f"{path.name}, full ranking", sequences, text, models, seed, epochs, out, json_file, as_is, [])
