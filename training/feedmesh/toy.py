"""A toy world as training files: topics, users who like some of them, authors whom single users like or not. For tests and smoke runs."""
from __future__ import annotations

import base64
import json
import math
from pathlib import Path

import numpy as np

TOPICS, WORDS = 6, 8
START_MS = 1_760_000_000_000
CLICK, DWELL, LIKE, NOT_INTERESTED = 7, 8, 0, 11


def write(folder: Path, seed: int, users: int = 40, items: int = 300, requests: int = 400, page: int = 12) -> None:
    """items.jsonl and rows.jsonl in protobuf JSON. The same arguments give the same bytes."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    topic, author = random.integers(0, TOPICS, items), random.integers(0, 20, items)
    duration = np.where(random.random(items) < 0.3, random.integers(5_000, 60_000, items), 0)
    taste = np.where(random.random((users, TOPICS)) < 0.4, 1.8, -1.5)
    bias = random.normal(0, 1.0, (users, 20))
    item_ids = [f"w{seed}-item-{i}" for i in range(items)]
    _lines(folder / "items.jsonl", [{
        "itemId": item_ids[i], "authorId": f"w{seed}-author-{author[i]}", "text": " ".join(f"t{topic[i]}w{w}" for w in random.integers(0, WORDS, 5)),
        "tags": [f"topic{topic[i]}"], "createdAtMs": str(START_MS - 3_600_000), "language": "en",
    } | ({"durationMs": str(duration[i])} if duration[i] else {}) for i in range(items)])

    events: list[list[tuple[int, int, int, float]]] = [[] for _ in range(users)]
    counts, as_of, rows = np.zeros((items, 15)), np.zeros(items, dtype=np.int64), []
    for request in range(requests):
        now, user = START_MS + request * 60_000, int(random.integers(0, users))
        known = [event for event in events[user] if event[2] < now][-200:]
        candidates = []
        for item in random.permutation(items)[:page]:
            counters = {"counters": {"counts": counts[item].round(3).tolist(), "asOfMs": str(as_of[item])}} if as_of[item] else {}
            engaged = random.random() < 1 / (1 + math.exp(-(taste[user, topic[item]] + bias[user, author[item]])))
            actions = [CLICK, *((DWELL,) if random.random() < 0.6 else ()), *((LIKE,) if random.random() < 0.4 else ())] if engaged else (
                [NOT_INTERESTED] if random.random() < 0.05 else [])
            seconds = float(round(random.exponential(20), 1))
            candidates.append({"itemId": item_ids[item], "served": True, "actions": actions, **counters})
            events[user] += [(int(item), action, now + 1 + place, seconds if action == DWELL else 0.0) for place, action in enumerate(actions)]
            counts[item, [*actions, 14]] += 1
            as_of[item] = now
        rows.append({
            "requestId": f"r{seed}-{request}", "userId": f"w{seed}-user-{user}", "timeMs": str(now), "surface": "home", "candidates": candidates,
            "sequence": {
                "itemIds": [item_ids[event[0]] for event in known], "actions": base64.b64encode(bytes(event[1] for event in known)).decode(),
                "timesMs": [str(event[2]) for event in known], "values": [event[3] for event in known],
                "surfaces": [0] * len(known), "surfaceNames": ["home"] if known else [],
            },
        })
    _lines(folder / "rows.jsonl", rows)


def _lines(path: Path, messages: list[dict]) -> None:
    path.write_text("".join(json.dumps(message) + "\n" for message in messages), encoding="utf-8")
