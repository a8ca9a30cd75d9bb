"""MovieLens-1M as published for SASRec: one sequence of items per user, oldest first, joined with ratings and film texts.

The order is the published file's own (by time; equal times keep the order of the input), so results compare with published tables.
"""
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .sequences import Sequences, open_text


@dataclass(frozen=True)
class Movies:
    """Texts of the items, by item id (row 0 is padding)."""
    titles: list[str]
    genres: list[list[str]]
    years: np.ndarray


def lines(path: Path, encoding: str = "utf-8") -> list[str]:
    with open_text(path, encoding) as file:
        return file.read().splitlines()


def load(folder: Path) -> tuple[Sequences, Movies]:
    pairs = np.array([line.split() for line in lines(folder / "ml-1m.sasrec.txt.xz")], dtype=np.int64)
    users, items = pairs[:, 0], pairs[:, 1]
    if np.any(np.diff(users) < 0) or users[0] != 1 or items.min() < 1:
        raise SystemExit(f"{folder}: users must come in order from 1 and items count from 1.")
    starts = np.concatenate([[0], np.flatnonzero(np.diff(users)) + 1, [len(users)]])
    item_count = int(items.max())

    user_ids = dict(line.split() for line in lines(folder / "sasrec_to_movielens_users.txt"))
    item_ids = dict(line.split() for line in lines(folder / "sasrec_to_movielens_items.txt"))
    ratings = {}
    for line in lines(folder / "events.tsv.xz")[1:]:
        user, movie, rating, _ = line.split("\t")
        ratings[user, movie] = int(rating)
    actions = np.array([ratings[user_ids[str(u)], item_ids[str(i)]] for u, i in pairs], dtype=np.int64)

    texts = {}
    for line in lines(folder / "movies.dat.xz", "latin-1"):
        movie, title, genres = line.split("::")
        texts[movie] = title, genres.split("|")
    titles, genres, years = [""], [[]], [0]
    for item in range(1, item_count + 1):
        title, kinds = texts[item_ids[str(item)]]
        titles.append(title[:-7])
        genres.append(kinds)
        years.append(int(title[-5:-1]))
    return Sequences(items, actions, starts, item_count), Movies(titles, genres, np.array(years))
