"""Histories of users in flat arrays, and the importer for any events.tsv."""
import csv
import lzma
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

EVENTS_MAX = 50_000_000
ID_MAX = 128


@dataclass(frozen=True)
class Sequences:
    """User u owns items[starts[u]:starts[u + 1]], oldest first. Items and actions count from 1; 0 is padding (and: no action)."""
    items: np.ndarray
    actions: np.ndarray
    starts: np.ndarray
    item_count: int

    @property
    def users(self) -> int:
        return len(self.starts) - 1

    @property
    def repeats(self) -> bool:
        """Whether any user met an item twice. If not, seen items can be left out of a ranking without touching a target."""
        owner = np.repeat(np.arange(self.users), np.diff(self.starts))
        return len(np.unique(owner * (self.item_count + 1) + self.items)) < len(self.items)

    def history(self, user: int, held_out: int = 0) -> np.ndarray:
        return self.items[self.starts[user]: self.starts[user + 1] - held_out]

    def training_counts(self) -> np.ndarray:
        """Events of each item in what models train on: all but the last two of each user."""
        counts = np.zeros(self.item_count + 1, dtype=np.int64)
        for user in range(self.users):
            np.add.at(counts, self.history(user, 2), 1)
        return counts


def open_text(path: Path, encoding: str = "utf-8"):
    """A text file, packed with xz or not."""
    if not path.exists():
        raise SystemExit(f"{path} does not exist. Pass the place of the data with --data.")
    opener = lzma.open if path.suffix == ".xz" else open
    return opener(path, "rt", encoding=encoding, newline="")


def load_events(path: Path, events_min: int = 5) -> tuple[Sequences, list[str], list[str]]:
    """Reads tab-separated user, item, time and by option action, with a header; returns sequences, item names and action names.

    Order within a user is by time, and of equal times by place in the file. Users with fewer than `events_min` events (at least 3:
    one to learn from, one to choose a model, one to test) are left out.
    """
    users, items, times, actions = [], [], [], []
    with open_text(path) as file:
        reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        header = next(reader, [])
        missing = {"user", "item", "time"} - set(header)
        if missing:
            raise SystemExit(f"{path}: the header {header} lacks {sorted(missing)}. It needs user, item, time and may have action.")
        place = {name: header.index(name) for name in ("user", "item", "time")}
        action_place = header.index("action") if "action" in header else None
        for number, row in enumerate(reader, start=2):
            if number > EVENTS_MAX:
                raise SystemExit(f"{path} has more than {EVENTS_MAX} events. Split it or sample users.")
            if len(row) != len(header):
                raise SystemExit(f"{path}, line {number}: {len(row)} columns, the header has {len(header)}.")
            user, item = row[place["user"]], row[place["item"]]
            if not (0 < len(user) <= ID_MAX and 0 < len(item) <= ID_MAX):
                raise SystemExit(f"{path}, line {number}: user and item must have 1..{ID_MAX} characters.")
            try:
                time = float(row[place["time"]])
            except ValueError:
                time = math.nan
            if not math.isfinite(time):
                raise SystemExit(f"{path}, line {number}: time {row[place['time']]!r} is not a number.")
            users.append(user)
            items.append(item)
            times.append(time)
            actions.append(row[action_place] if action_place is not None else "")
    if not users:
        raise SystemExit(f"{path} holds no events.")
    _, user_index = np.unique(users, return_inverse=True)
    kept = np.bincount(user_index)[user_index] >= max(3, events_min)
    if not kept.any():
        raise SystemExit(f"{path}: no user has {max(3, events_min)} events.")
    order = np.lexsort((np.array(times), user_index))
    order = order[kept[order]]
    item_names, item_index = np.unique(np.array(items)[order], return_inverse=True)
    action_names, action_index = np.unique(np.array(actions)[order], return_inverse=True)
    owners = user_index[order]
    starts = np.concatenate([[0], np.flatnonzero(np.diff(owners)) + 1, [len(owners)]])
    return Sequences(item_index + 1, action_index + 1, starts, len(item_names)), ["", *item_names], ["", *action_names]
