"""Writes the golden cases that keep features.py and the services' C# equal: python3 -m feedmesh.golden --out FILE.

Odd cases on purpose: empty texts, scripts, unknown items, merging, histories longer than L, empty and broken counters.
"""
from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np

from . import features as f
from .config import FeatureConfig

LEVELS = 3
NOW_MS = 1_760_000_000_000
FEATURES = FeatureConfig(
    token_buckets=8192, tokens_max=12, author_buckets=4096, history_max=6, counter_half_life_hours=24.0,
    prior_rates=(.08, .012, .015, .005, .006, .009, .02, .35, .3, .05, .012, .01, .001, .0008),
)
_TEXTS = (
    "", " \t\n", "The endgame: zugzwang, again!", "don't stop; it\u2019s rock'n'roll", "Über ÉCOLE straße", "ΑΣ ΟΔΟΣ", "İstanbul ISTANBUL ıI",
    "東京 で寿司", "x東y", "カタカナ・ー", "año niño", "e\u0301te\u0300", "emoji 🎉 tail", "𐐀𐐁 math 𝟘", "한국어 단어", "ⅫⅣ ½ ²", "snake_case-kebab",
    "'quoted'", "a'", "ʼnaïve o\u02bcclock", "हिन्दी भाषा", "العربية ٣٤", "Ǆungla", "ẞ Straße",
)
_ITEMS = (
    {},
    {"itemId": "i1", "authorId": "author-001", "text": "the gravel climb today", "tags": ["cycling", "Gravel"], "createdAtMs": "1", "language": "en"},
    {"itemId": "i2", "authorId": "", "text": "über das Endspiel", "tags": ["  Chess ", "", "ENDGAME\u00a0"], "language": "de", "durationMs": "61000"},
    {"itemId": "i3", "authorId": "a" * 128, "text": " ".join(f"word{i}" for i in range(40)), "tags": [f"Tag{i}" for i in range(12)], "language": "pt-BR"},
    {"itemId": "i4", "authorId": "åuthor", "text": "", "tags": ["ΣΊΣΥΦΟΣ", "İ"], "durationMs": "-5"},
    {"itemId": "i5", "authorId": "b", "text": "東京タワー nights", "tags": ["\u3000travel\u2003", "\x1cctl"], "durationMs": "1"},
)
_HISTORY_ITEMS = (
    {"itemId": "a", "authorId": "author-001", "codes": [1, 2, 3]}, {"itemId": "b", "authorId": "author-002", "codes": [0, 0, 0]},
    {"itemId": "c", "authorId": "", "codes": [63, 0, 63]}, {"itemId": "d", "authorId": "author-004"},
)
_MINUTE = 60_000


def _sequence(events: list[tuple]) -> dict:
    names = sorted({event[4] for event in events})
    return {
        "itemIds": [e[0] for e in events], "actions": [e[1] for e in events], "timesMs": [str(e[2]) for e in events],
        "values": [e[3] for e in events], "surfaces": [names.index(e[4]) for e in events], "surfaceNames": names,
    }


def _histories() -> dict[str, list[tuple]]:
    at = NOW_MS
    return {
        "empty": [],
        "one event": [("a", 0, at, 0.0, "home")],
        "merging": [("a", 7, at - 40 * _MINUTE, 0.0, "home"), ("b", 7, at - 39 * _MINUTE, 0.0, "home"), ("a", 8, at - 38 * _MINUTE, 12.5, "search"),
                    ("a", 0, at - 10 * _MINUTE, 0.0, "home"), ("a", 1, at - 10 * _MINUTE + 1, 0.0, "home"), ("b", 13, at, 3.0, "")],
        "merge window is inclusive": [("a", 7, at, 0.0, ""), ("a", 0, at + 30 * _MINUTE, 0.0, ""), ("a", 10, at + 30 * _MINUTE + 1, 0.0, "")],
        "newest time is of a token that kept its place": [("a", 7, at - 20 * _MINUTE, 0.0, "home"), ("b", 7, at - 19 * _MINUTE, 0.0, "home"),
                                                          ("a", 8, at, 44.0, "home")],
        "longer than L": [("abcd"[i % 4], i % 14, at - (40 - i) * 3_600_000, float(i), f"surface-{i}") for i in range(40)],
        "unknown items": [("zzz", 0, at - 5_000, 0.0, "home"), ("d", 7, at - 4_000, 0.0, "home"), ("", 9, at, 0.0, "home")],
        "impressions are skipped whole": [("a", 14, at - 9_000, 0.0, "home"), ("b", 0, at - 8_000, 0.0, "home"), ("b", 255, at + 900_000, 0.0, "x")],
        "dwell": [("a", 8, at, 3.5, ""), ("a", 8, at + 1, 2.0, ""), ("b", 0, at + 2, 900.0, ""), ("c", 8, at + 3, -4.0, ""), ("d", 8, at + 4, 100_000.0, "")],
        "ages of every size": [("a", 0, at - (1 << i) * 1000, 0.0, "") for i in (33, 31, 30, 29, 10)] + [("b", 0, at, 0.0, "")],
    }


def _candidates() -> list[dict]:
    now = str(NOW_MS)
    row = [float(i) for i in range(14)] + [400.0]
    base = {"itemId": "x", "authorId": "author-007", "codes": [5, 6, 7], "createdAtMs": str(NOW_MS - 3_600_000), "durationMs": "30000", "inNetwork": True}
    return [
        {"itemId": "bare"},
        base | {"counters": {"counts": row, "asOfMs": now}},
        base | {"counters": {"counts": row, "asOfMs": str(NOW_MS - 86_400_000)}, "inNetwork": False, "durationMs": "0"},
        base | {"counters": {"counts": row, "asOfMs": str(NOW_MS + 86_400_000)}, "createdAtMs": str(NOW_MS + 5_000)},
        base | {"counters": {"counts": [0.0] * 15, "asOfMs": now}, "codes": []},
        base | {"counters": {"counts": [-1.0, 5e9, 3.0], "asOfMs": now}, "authorId": ""},
        base | {"counters": {"counts": ["NaN", "Infinity", "-Infinity"] + [7.0] * 12, "asOfMs": now}, "durationMs": "-8"},
        base | {"counters": {"counts": [1000.0] * 14 + [1.0], "asOfMs": now}, "createdAtMs": "0", "durationMs": "86400000"},
    ]


def cases() -> dict:
    """Everything that the golden file holds."""
    authors = {item["itemId"]: item["authorId"] for item in _HISTORY_ITEMS}
    codes = {item["itemId"]: item["codes"] for item in _HISTORY_ITEMS if "codes" in item}
    histories = []
    for name, events in _histories().items():
        columns = [list(column) for column in zip(*events)] or [[]] * 5
        inputs = f.history_inputs(f.history_tokens(*columns, FEATURES), codes, authors, LEVELS, FEATURES)
        histories.append({"name": name, "sequence": _sequence(events), "expected": {key: _plain(value) for key, value in inputs.items()}})
    candidates = []
    for candidate in _candidates():
        counters = candidate.get("counters", {})
        candidates.append({"candidate": candidate, "expected": {
            "codes": candidate.get("codes") or [-1] * LEVELS,
            "authors": list(f.author_buckets(candidate.get("authorId", ""), FEATURES)),
            "age": f.time_bucket(NOW_MS - int(candidate.get("createdAtMs", 0))),
            "dense": _plain(f.candidate_dense(
                candidate.get("inNetwork", False), int(candidate.get("durationMs", 0)), [float(count) for count in counters.get("counts", [])],
                int(counters.get("asOfMs", 0)), NOW_MS, FEATURES.counter_half_life_hours, FEATURES.prior_rates)),
        }})
    return {
        "features": {**dataclasses.asdict(FEATURES), "gap_buckets": 32}, "levels": LEVELS, "now_ms": NOW_MS,
        "hashes": [{"field": field, "token": token, "hash": str(f.field_hash(field, token)),
                    "first": f.bucket_of(f.field_hash(field, token), 4096, 0), "second": f.bucket_of(f.field_hash(field, token), 4096, 1)}
                   for field, token in (("a", ""), ("a", "author-001"), ("t", "author-001"), ("g", "über"), ("t", "東"), ("s", "🎉"))],
        "surfaces": {name: f.surface_bucket(name) for name in ("", "home", "search", "profile", "x" * 60)},
        "time_buckets": {str(ms): f.time_bucket(ms) for ms in (-5, 0, 999, 1000, 1999, 2000, 3_600_000, 1 << 41, 1 << 62)},
        "tokens": [{"text": text, "tokens": f.tokenize(text), "first_two": f.tokenize(text, 2)} for text in _TEXTS],
        "items": [{"item": item, "tokens": f.item_tokens(item, FEATURES)} for item in _ITEMS],
        "history_items": list(_HISTORY_ITEMS), "histories": histories, "candidates": candidates,
    }


def _plain(array: np.ndarray) -> list:
    return [_plain(row) if isinstance(row, np.ndarray) else row.item() for row in array]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="../tests/Mesh.Inference.Tests/golden/features.json")
    path = Path(parser.parse_args().out)
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = cases()
    lines = [f"{json.dumps(key)}: " + (_lines(value) if isinstance(value, list) else json.dumps(value, ensure_ascii=False)) for key, value in entries.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{path}: {len(entries['histories'])} histories, {len(entries['candidates'])} candidates, {len(entries['items'])} items")


def _lines(values: list) -> str:
    return "[\n" + ",\n".join("  " + json.dumps(value, ensure_ascii=False) for value in values) + "\n]"


if __name__ == "__main__":
    main()
