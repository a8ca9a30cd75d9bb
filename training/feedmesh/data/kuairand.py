"""KuaiRand-Pure: exposures of short videos with several kinds of feedback, by time, and each user's last 50 videos before the log.

The whole-period statistics file is never read: its counts include the days that a model is tested on.
"""
from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import features as f
from .. import rows
from ..actions import names
from ..config import ACTION_COUNT, FeatureConfig
from .sequences import open_text

# The log's days end at midnight in Beijing.
SPLIT_MS = int(np.datetime64("2022-05-01T00:00", "ms").astype(np.int64)) - 8 * 3_600_000
SESSION_MS = 600_000
REQUEST_MAX = 32
# The mesh's action for each column; dwell and video_complete come from play time.
ACTIONS = {"is_like": "like", "is_comment": "reply", "is_follow": "follow_author", "is_forward": "share", "is_profile_enter": "profile_click",
           "is_click": "click", "long_view": "dwell", "is_hate": "not_interested"}


@dataclass(frozen=True)
class Exposures:
    """Exposures in time order. Users, items and authors are the data set's own numbers; labels [n, actions] are 0 or 1."""
    user: np.ndarray
    item: np.ndarray
    time_ms: np.ndarray
    surface: np.ndarray
    labels: np.ndarray
    play_ms: np.ndarray
    duration_ms: np.ndarray
    actions: list[str]
    duplicates: int


@dataclass(frozen=True)
class Videos:
    """Features of the videos known before anybody saw them, by video id."""
    author: dict[int, int]
    tags: dict[int, list[str]]
    kind: dict[int, str]
    uploaded_ms: dict[int, int]
    duration_ms: dict[int, float]


def records(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with open_text(path) as file:
        return list(csv.DictReader(file, delimiter=delimiter))


Earlier = dict[int, tuple[int, list[int], set[int], set[int]]]


def load(folder: Path) -> tuple[Exposures, Videos, Earlier]:
    """Exposures, videos, and per user (time of the last earlier event, last watched oldest first, liked, long viewed)."""
    seen, log, duplicates = set(), [], 0
    for row in records(folder / "log_standard_0425_0508_pure.csv.xz"):
        key = tuple(row.values())
        if key in seen:
            duplicates += 1
            continue
        seen.add(key)
        log.append(row)
    column = lambda name: np.array([int(float(row[name])) for row in log], dtype=np.int64)
    play, duration = column("play_time_ms"), column("duration_ms")
    labels = [column(name) > 0 for name in ACTIONS] + [(duration > 0) & (play >= duration)]
    times = column("time_ms")
    order = np.argsort(times, kind="stable")
    exposures = Exposures(column("user_id")[order], column("video_id")[order], times[order], column("tab")[order],
                          np.stack(labels, axis=1)[order].astype(np.float32), play[order], duration[order],
                          [*ACTIONS.values(), "video_complete"], duplicates)

    videos = Videos({}, {}, {}, {}, {})
    for row in records(folder / "video_features_basic_pure.csv.xz"):
        video = int(row["video_id"])
        videos.author[video] = int(row["author_id"])
        videos.tags[video] = [tag for tag in row["tag"].split(",") if tag]
        videos.kind[video] = row["upload_type"]
        videos.uploaded_ms[video] = int(np.datetime64(row["upload_dt"], "ms").astype(np.int64)) if row["upload_dt"] else 0
        videos.duration_ms[video] = float(row["video_duration"] or 0)

    ids = lambda text: [int(x) for x in text.split()]
    history = {int(row["user_id"]): (int(row["last_time_ms"]), ids(row["watch_seq_last50"]), set(ids(row["like_seq_last50"])),
                                     set(ids(row["long_watch_seq_last50"])))
               for row in records(folder / "train_user_sequences_0408_0424.tsv.xz", "\t")}
    return exposures, videos, history


def as_of(keys: np.ndarray, times: np.ndarray, values: np.ndarray, ask_keys: np.ndarray, ask_times: np.ndarray) -> np.ndarray:
    """Sums of values [n, w] of the events with the asked key strictly before the asked time, [m, w]."""
    start = min(times.min(), ask_times.min())
    span = int(max(times.max(), ask_times.max()) - start) + 2
    event, ask = keys * span + (times - start), ask_keys * span + (ask_times - start)
    order = np.argsort(event, kind="stable")
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values[order], axis=0, dtype=np.float64)])
    return sums[np.searchsorted(event[order], ask)] - sums[np.searchsorted(event[order], ask_keys * span)]


def requests_of(e: Exposures) -> tuple[np.ndarray, np.ndarray]:
    """Order of the exposures by request, and where requests start: exposures of one user on one surface, each at most 10 minutes after the last."""
    order = np.lexsort((e.time_ms, e.surface, e.user))
    user, surface, time_ms = e.user[order], e.surface[order], e.time_ms[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(user) != 0) | (np.diff(surface) != 0) | (np.diff(time_ms) > SESSION_MS)
    # A request never spans the split, nor holds more than the ranker's page.
    new[1:] |= (time_ms[1:] >= SPLIT_MS) & (time_ms[:-1] < SPLIT_MS)
    place = np.arange(len(order)) - np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))
    new |= place % REQUEST_MAX == 0
    starts = np.flatnonzero(new)
    by_time = np.argsort(time_ms[starts], kind="stable")
    ends = np.append(starts[1:], len(order))
    pages = [order[starts[i]:ends[i]] for i in by_time]
    return np.concatenate(pages), np.concatenate([[0], np.cumsum([len(page) for page in pages])]).astype(np.int64)


def catalogue(e: Exposures, videos: Videos, earlier: Earlier, features: FeatureConfig, acted_only: bool = False) -> rows.Catalogue:
    """The log as the requests that the mesh trains on: histories and counters as of each request, and its exposures with labels.

    A history holds what was shown and passed over too, as tokens without an action: only so can a user's rate be told from how much
    the user was shown. With acted_only it does not, as the histories that the mesh serves from. It opens with the videos watched
    before the log, of which only likes and long views are known, and no time but the newest one's.
    """
    action = {name: i for i, name in enumerate(names())}
    bits = np.zeros(len(e.user), dtype=np.int64)
    for column, name in enumerate(e.actions):
        bits |= (e.labels[:, column] > 0).astype(np.int64) << action[name]
    order, first = requests_of(e)
    request_time, request_user = e.time_ms[order[first[:-1]]], e.user[order[first[:-1]]]
    items = np.array(sorted(videos.author))
    index = {int(video): i for i, video in enumerate(items)}
    item = np.array([index[int(video)] for video in e.item])

    L = features.history_max
    history = {"item": np.full((len(request_time), L), -2, np.int32), "actions": np.zeros((len(request_time), L), np.uint16),
               "gap": np.zeros((len(request_time), L), np.uint8), "surface": np.zeros((len(request_time), L), np.uint8),
               "value": np.zeros((len(request_time), L), np.float32)}
    by_user = np.argsort(e.user, kind="stable")
    edges = np.searchsorted(e.user[by_user], np.arange(e.user.max() + 2))
    surfaces = np.array([f.surface_bucket(f"tab{tab}") for tab in range(e.surface.max() + 1)])
    value = np.log1p(e.play_ms / 1000) / 5
    for request, (now, user) in enumerate(zip(request_time, request_user)):
        mine = by_user[edges[user]:edges[user + 1]]
        mine = mine[(e.time_ms[mine] < now) & ((bits[mine] > 0) | (not acted_only))][-L:]
        when, old, liked, long_viewed = earlier.get(int(user), (0, [], set(), set()))
        if acted_only:
            old = [v for v in old if v in liked or v in long_viewed]
        old = old[max(0, len(old) + len(mine) - L):]
        old_bits = [(v in liked) << action["like"] | (v in long_viewed) << action["dwell"] for v in old]
        times = np.concatenate([np.full(len(old), when), e.time_ms[mine]]).astype(np.int64)
        n = len(times)
        if n:
            history["item"][request, -n:] = [index.get(v, -1) for v in old] + list(item[mine])
            history["actions"][request, -n:] = np.concatenate([old_bits, bits[mine]]).astype(np.int64)
            history["gap"][request, -n:] = np.minimum(31, np.frexp(((times[-1] - times) // 1000).astype(np.float64))[1])
            history["surface"][request, -n:] = np.concatenate([np.zeros(len(old)), surfaces[e.surface[mine]]])
            history["value"][request, -n:] = np.concatenate([np.zeros(len(old)), value[mine] * ((bits[mine] >> action["dwell"]) & 1)])

    # Counters: what the log showed and saw done, halved every half-life.
    start = int(e.time_ms.min())
    weight = lambda t: 2.0 ** ((t - start) / (features.counter_half_life_hours * 3_600_000))
    done = np.hstack([rows.bits_to_rows(bits), np.ones((len(bits), 1))])
    ask_time = np.repeat(request_time, np.diff(first))
    counts = as_of(item, e.time_ms, done * weight(e.time_ms)[:, None], item[order], ask_time) / weight(ask_time)[:, None]

    # Nearly every video has an author (and a music) of its own: a word that says nothing of a new one, and would draw its codes at random.
    texts = [{"tags": videos.tags[v], "durationMs": int(videos.duration_ms[v]),
              "text": f"{videos.kind[v]} seconds{int(videos.duration_ms[v] / 1000).bit_length()}"} for v in items]
    authors = {a: i for i, a in enumerate(sorted(set(videos.author.values())))}
    return rows.Catalogue(
        name="kuairand", item_tokens=np.array([f.item_tokens(text, features) for text in texts], dtype=np.int32),
        item_authors=np.array([f.author_buckets(str(videos.author[v]), features) for v in items], dtype=np.int32),
        item_author_ids=np.array([authors[videos.author[v]] for v in items], dtype=np.int32),
        item_created_ms=np.array([videos.uploaded_ms[v] for v in items]), item_duration_ms=np.array([int(videos.duration_ms[v]) for v in items]),
        row_time_ms=request_time, row_user=request_user.astype(np.int32), row_surface=surfaces[e.surface[order[first[:-1]]]].astype(np.int8),
        history_item=history["item"], history_actions=history["actions"], history_gap=history["gap"], history_surface=history["surface"],
        history_value=history["value"], first=first, item=item[order].astype(np.int32), in_network=np.zeros(len(order), dtype=bool),
        labels=bits[order].astype(np.uint16), counts=counts.astype(np.float32))
