"""Training rows as arrays. A row is one request: the user's history as of then, and what was served with its labels.

A folder holds items.jsonl and rows.jsonl (protobuf JSON of Item and TrainingRow), or folders that do: one catalogue each.
What is read is cached beside the run's other output: parsing takes about a millisecond a row, loading the cache none.
"""
from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import features as f
from . import provenance
from .actions import names
from .config import ACTION_COUNT, FeatureConfig
from .progress import Progress

ITEMS, ROWS = "items.jsonl", "rows.jsonl"
CACHE_FORMAT = 3


@dataclass
class Catalogue:
    """Items and requests of one data set. I items, R requests, L history tokens, C candidates of all requests in a row."""

    name: str
    item_tokens: np.ndarray      # [I, T] int32
    item_authors: np.ndarray     # [I, 2] int32
    item_author_ids: np.ndarray  # [I] int32, -1 = none; counts authors within the data set
    item_created_ms: np.ndarray  # [I] int64
    item_duration_ms: np.ndarray  # [I] int64
    row_time_ms: np.ndarray      # [R] int64, ascending
    row_user: np.ndarray         # [R] int32
    row_surface: np.ndarray      # [R] int8
    history_item: np.ndarray     # [R, L] int32, -1 = unknown, -2 = padding
    history_actions: np.ndarray  # [R, L] uint16, bit set
    history_gap: np.ndarray      # [R, L] uint8
    history_surface: np.ndarray  # [R, L] uint8
    history_value: np.ndarray    # [R, L] float32
    first: np.ndarray            # [R + 1] int64: candidates of request r are first[r] .. first[r + 1]
    item: np.ndarray             # [C] int32
    in_network: np.ndarray       # [C] bool
    labels: np.ndarray           # [C] uint16, bit set
    counts: np.ndarray           # [C, 15] float32, decayed to the request
    place: np.ndarray | None = None  # [C] int16: which candidate of its page it was shown as, from 0; None = no candidate is left out
    gone: int = 0                # candidates of the whole data set that are left out, as their item is not in items.jsonl

    def __post_init__(self) -> None:
        if self.place is None:
            self.place = (np.arange(len(self.item)) - np.repeat(self.first[:-1], np.diff(self.first))).astype(np.int16)

    @property
    def rows(self) -> int:
        return len(self.row_time_ms)

    def slice_rows(self, start: int, end: int) -> "Catalogue":
        """The same items with requests start .. end only."""
        low, high = self.first[start], self.first[end]
        cut = {name: getattr(self, name)[start:end] for name in vars(self) if name.startswith(("row_", "history_"))}
        cut |= {name: getattr(self, name)[low:high] for name in ("item", "in_network", "labels", "counts", "place")}
        return dataclasses.replace(self, first=self.first[start:end + 1] - low, **cut)


def bits_to_rows(bits: np.ndarray) -> np.ndarray:
    """Bit sets [...] to [..., 14] float32."""
    return ((bits[..., None] >> np.arange(ACTION_COUNT)) & 1).astype(np.float32)


def positive_bits() -> int:
    """The actions that count as engagement: all but the negative ones."""
    return sum(1 << i for i, name in enumerate(names()) if name not in ("not_interested", "block_author", "report"))


def fingerprint(catalogue: Catalogue) -> str:
    """Hash of a data set's content; its name is no part of it."""
    return provenance.of_arrays((name, np.asarray(value)) for name, value in vars(catalogue).items() if name != "name")


def load(folder: Path, features: FeatureConfig, cache: Path) -> list[Catalogue]:
    """Every data set under a folder, in order of name."""
    folders = [folder] if (folder / ROWS).exists() else sorted((path.parent for path in folder.glob(f"*/{ROWS}")), key=_natural)
    if not folders:
        raise FileNotFoundError(f"{folder} holds no {ROWS}, and no folder in it does. Write one with the simulator's verb `world` or the training export.")
    progress = Progress("read rows", len(folders))
    catalogues = []
    for path in folders:
        catalogues.append(_load_one(path, features, cache))
        progress.advance(f"{path.name}: {catalogues[-1].rows:,} requests")
        if gone := catalogues[-1].gone:
            served = gone + len(catalogues[-1].item)
            print(f"{path}: {gone:,} of {served:,} served candidates ({gone / served:.1%}) are left out, as their items are not in {ITEMS}.")
    return catalogues


def held_out_whole(catalogues: list[Catalogue]) -> bool:
    """Whether whole data sets are held out, or the latest requests of each."""
    return len(catalogues) >= 5


def split(catalogues: list[Catalogue], held_out: float) -> tuple[list[Catalogue], list[Catalogue]]:
    """Training and validation. With five data sets or more, whole ones are held out, so that users, authors and items are new;
    with fewer, the latest requests of each."""
    if held_out_whole(catalogues):
        count = max(1, round(held_out * len(catalogues)))
        return catalogues[:-count], catalogues[-count:]
    parts = [(catalogue, catalogue.rows - max(1, round(held_out * catalogue.rows))) for catalogue in catalogues]
    return [c.slice_rows(0, cut) for c, cut in parts], [c.slice_rows(cut, c.rows) for c, cut in parts]


def prior_rates(catalogues: list[Catalogue]) -> tuple[float, ...]:
    """How often each action follows an impression, over all data; kept within 1e-5 .. 0.5."""
    shown = sum(len(c.labels) for c in catalogues)
    done = sum(np.array([((c.labels >> action) & 1).sum() for action in range(ACTION_COUNT)]) for c in catalogues)
    return tuple(float(np.clip(count / max(1, shown), 1e-5, 0.5)) for count in done)


def _natural(path: Path) -> tuple[int, str]:
    digits = "".join(filter(str.isdigit, path.name))
    return int(digits or 0), path.name


def _load_one(folder: Path, features: FeatureConfig, cache: Path) -> Catalogue:
    stat = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in (folder / ITEMS, folder / ROWS)]
    # Priors are no part of what is cached: they are computed from it.
    shape = dataclasses.replace(features, prior_rates=(0.0,) * ACTION_COUNT)
    key = hashlib.sha256(json.dumps([CACHE_FORMAT, str(folder.resolve()), stat, dataclasses.asdict(shape)]).encode()).hexdigest()[:16]
    file = cache / f"{folder.name}-{key}.npz"
    if file.exists():
        with np.load(file) as arrays:
            return Catalogue(name=folder.name, **{**arrays, "gone": int(arrays["gone"])})
    catalogue = _parse(folder, features)
    cache.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial.npz")
    np.savez(partial, **{key: value for key, value in vars(catalogue).items() if key != "name"})
    partial.rename(file)
    return catalogue


def _lines(path: Path) -> Iterator[tuple[int, dict]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield number, json.loads(line)
            except ValueError as error:
                raise ValueError(f"{path}:{number}: not JSON: {error}") from None


def _parse(folder: Path, features: FeatureConfig) -> Catalogue:
    items = []
    for number, item in _lines(folder / ITEMS):
        if not item.get("itemId"):
            raise ValueError(f"{folder / ITEMS}:{number}: the item has no itemId.")
        items.append(item)
    index = {item["itemId"]: i for i, item in enumerate(items)}
    authors: dict[str, int] = {}
    rows = sorted((_parse_row(row, index, features, f"{folder / ROWS}:{number}") for number, row in _lines(folder / ROWS)), key=lambda row: row["time"])
    if not items or not rows:
        raise ValueError(f"{folder} holds {len(items)} items and {len(rows)} requests; training needs both.")
    served = sum(row["served"] for row in rows)
    gone = served - sum(len(row["candidates"]) for row in rows)
    rows = [row for row in rows if row["candidates"]]  # nothing can be learnt from a page without candidates
    if not rows:
        raise ValueError(f"{folder}: no candidate is left: {served:,} were served, {gone:,} of them of items that {ITEMS} lacks. "
                         f"{ITEMS} and {ROWS} must be of one mesh; fetch both again.")
    users: dict[str, int] = {}
    counts = [len(row["candidates"]) for row in rows]
    flat = [candidate for row in rows for candidate in row["candidates"]]

    def stack(name: str, dtype: type, fill: float) -> np.ndarray:
        return np.stack([f.align_right(row[name].astype(dtype), features.history_max, fill) for row in rows])

    return Catalogue(
        name=folder.name,
        item_tokens=np.array([f.item_tokens(item, features) for item in items], dtype=np.int32),
        item_authors=np.array([f.author_buckets(item.get("authorId", ""), features) for item in items], dtype=np.int32),
        item_author_ids=np.array([authors.setdefault(item["authorId"], len(authors)) if item.get("authorId") else -1 for item in items], dtype=np.int32),
        item_created_ms=np.array([int(item.get("createdAtMs", 0)) for item in items], dtype=np.int64),
        item_duration_ms=np.array([int(item.get("durationMs", 0)) for item in items], dtype=np.int64),
        row_time_ms=np.array([row["time"] for row in rows], dtype=np.int64),
        row_user=np.array([users.setdefault(row["user"], len(users)) for row in rows], dtype=np.int32),
        row_surface=np.array([row["surface"] for row in rows], dtype=np.int8),
        history_item=stack("items", np.int32, -2), history_actions=stack("actions", np.uint16, 0), history_gap=stack("gaps", np.uint8, 0),
        history_surface=stack("surfaces", np.uint8, 0), history_value=stack("values", np.float32, 0),
        first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        item=np.array([c[0] for c in flat], dtype=np.int32), in_network=np.array([c[1] for c in flat], dtype=bool),
        labels=np.array([c[2] for c in flat], dtype=np.uint16), place=np.array([c[4] for c in flat], dtype=np.int16), gone=gone,
        counts=np.array([c[3] for c in flat], dtype=np.float32).reshape(len(flat), ACTION_COUNT + 1),
    )


def _parse_row(row: dict, index: dict[str, int], features: FeatureConfig, where: str) -> dict:
    absent = [key for key in ("timeMs", "userId") if key not in row]
    if absent:
        raise ValueError(f"{where}: the row has no {' and no '.join(absent)}.")
    time_ms, sequence = int(row["timeMs"]), row.get("sequence", {})
    ids = sequence.get("itemIds", [])
    actions = base64.b64decode(sequence.get("actions", ""))
    times = list(map(int, sequence.get("timesMs", [])))
    surfaces, surface_names = sequence.get("surfaces", []), sequence.get("surfaceNames", [])
    values = [float(value) for value in sequence.get("values", [])]  # protobuf JSON writes "NaN" as text; features skip it
    if not len(ids) == len(actions) == len(times) == len(values) == len(surfaces):
        raise ValueError(f"{where}: the columns of the sequence differ in length.")
    if times and max(times) >= time_ms:
        raise ValueError(f"{where}: the sequence holds an event of {max(times)}, the request is of {time_ms}: a row must not know its future.")
    served = [candidate for candidate in row.get("candidates", []) if candidate.get("served")]
    tokens = f.history_tokens(ids, actions, times, values, [surface_names[s] if s < len(surface_names) else "" for s in surfaces], features)
    bits = tokens["actions"] @ (1 << np.arange(ACTION_COUNT))
    return {
        "time": time_ms, "user": row["userId"], "surface": f.surface_bucket(row.get("surface", "")),
        "items": np.array([index.get(item, -1) for item in tokens["items"]], dtype=np.int32), "actions": bits,
        "gaps": tokens["gaps"], "surfaces": tokens["surfaces"], "values": tokens["values"],
        # What was scored but not shown has no labels; an item that is gone from the catalogue has no features, and leaves its place empty.
        "served": len(served),
        "candidates": [(*_parse_candidate(c, index, time_ms, features), place) for place, c in enumerate(served) if c["itemId"] in index],
    }


def _parse_candidate(candidate: dict, index: dict[str, int], time_ms: int, features: FeatureConfig) -> tuple[int, bool, int, list[float]]:
    counters = candidate.get("counters", {})
    as_of = int(counters.get("asOfMs", 0))
    decay = 0.5 ** (max(0, time_ms - as_of) / (features.counter_half_life_hours * 3_600_000))
    counts = [float(count) * decay for count in counters.get("counts", [])][:ACTION_COUNT + 1]
    labels = 0
    for action in candidate.get("actions", []):
        labels |= 1 << action if action < ACTION_COUNT else 0
    return index[candidate["itemId"]], bool(candidate.get("inNetwork")), labels, counts + [0.0] * (ACTION_COUNT + 1 - len(counts))
