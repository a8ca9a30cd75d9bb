"""From items, sequences and candidates to the integers and floats that the graphs take.

The services compute the same in C# (libs/Mesh.Inference/Features); golden cases written by `python3 -m feedmesh.golden`
keep the two equal, value by value.
"""
from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from .config import ACTION_COUNT, DENSE_WIDTH, FeatureConfig

DWELL = 8
IMPRESSIONS = ACTION_COUNT
TAGS_MAX = 8
_MASK = (1 << 64) - 1
_APOSTROPHES = {0x27, 0x2019, 0x02BC}
_WORD_CATEGORIES = {"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd", "Nl", "No"}
# What .NET trims: Python's strip() would also take U+001C..U+001F.
_WHITESPACE = "\t\n\x0b\x0c\r\x20\x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"


def mix(value: int) -> int:
    """The finaliser of SplitMix64, as StableHash.Mix."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def stable_hash(text: str) -> int:
    """FNV-1a over UTF-8, mixed, as StableHash.Compute. Half a surrogate pair counts as U+FFFD there, so it does here."""
    value = 14695981039346656037
    for byte in "".join("\ufffd" if 0xD800 <= ord(c) <= 0xDFFF else c for c in text).encode("utf-8"):
        value = ((value ^ byte) * 1099511628211) & _MASK
    return mix(value)


@lru_cache(maxsize=1 << 20)
def field_hash(field: str, token: str) -> int:
    """64-bit hash of a token within a field; the field keeps equal tokens of two fields apart."""
    return mix(stable_hash(token) ^ (ord(field) << 40))


def bucket_of(value: int, buckets: int, which: int = 0) -> int:
    """Bucket 1 .. buckets - 1 from the low (0) or high (1) half of a hash; 0 is left for padding."""
    return ((value >> (32 * which)) & 0xFFFFFFFF) % (buckets - 1) + 1


def tokenize(text: str, tokens_max: int = 1 << 30) -> list[str]:
    """Words as Mesh.Numerics.Tokenizer cuts them."""
    tokens: list[str] = []
    word: list[str] = []
    for character in text:
        if len(tokens) >= tokens_max:
            return tokens
        code = ord(character)
        if word and code in _APOSTROPHES:
            continue
        if unicodedata.category(character) not in _WORD_CATEGORIES:
            if word:
                tokens.append("".join(word))
                word.clear()
        elif _stands_alone(code):
            if word:
                tokens.append("".join(word))
                word.clear()
            if len(tokens) < tokens_max:
                tokens.append(character)
        else:
            word.append(_lower(character))
    if word and len(tokens) < tokens_max:
        tokens.append("".join(word))
    return tokens


def lower_invariant(text: str) -> str:
    """Character by character, as .NET's invariant culture does it: no final sigma, and a dotted capital I stays."""
    return "".join(map(_lower, text))


def _lower(character: str) -> str:
    lower = character.lower()
    return lower if len(lower) == 1 else character


def _stands_alone(code: int) -> bool:
    return (0x3041 <= code <= 0x30FF or 0x3400 <= code <= 0x4DBF or 0x4E00 <= code <= 0x9FFF
            or 0xF900 <= code <= 0xFAFF or 0x20000 <= code <= 0x323AF)


def item_tokens(item: Mapping, features: FeatureConfig) -> list[int]:
    """Token buckets of an item (protobuf JSON), [T]: author, tags, language, kind, words; zeros at the end."""
    fields: list[tuple[str, str]] = []
    if item.get("authorId"):
        fields.append(("a", item["authorId"]))
    tags = [tag for tag in (lower_invariant(tag.strip(_WHITESPACE)) for tag in item.get("tags", ())) if tag]
    fields += [("g", tag) for tag in tags[:TAGS_MAX]]
    if item.get("language"):
        fields.append(("l", item["language"]))
    fields.append(("v", "video" if int(item.get("durationMs", 0)) > 0 else "post"))
    words_max = features.tokens_max - len(fields)
    if words_max > 0:
        fields += [("t", word) for word in tokenize(item.get("text", ""), words_max)]
    tokens = [bucket_of(field_hash(field, token), features.token_buckets) for field, token in fields[:features.tokens_max]]
    return tokens + [0] * (features.tokens_max - len(tokens))


def author_buckets(author_id: str, features: FeatureConfig) -> tuple[int, int]:
    """Both buckets of an author; 0, 0 where there is none."""
    if not author_id:
        return 0, 0
    value = field_hash("a", author_id)
    return bucket_of(value, features.author_buckets, 0), bucket_of(value, features.author_buckets, 1)


def surface_bucket(surface: str) -> int:
    """0 for none, else 1 .. 15."""
    return field_hash("s", surface) % 15 + 1 if surface else 0


def time_bucket(ms: int) -> int:
    """Bit length of whole seconds, at most 31; what is negative counts as 0."""
    return min(31, (max(0, ms) // 1000).bit_length())


def history_tokens(
    item_ids: Sequence[str], actions: Sequence[int], times_ms: Sequence[int], values: Sequence[float], surfaces: Sequence[str],
    features: FeatureConfig,
) -> dict[str, np.ndarray | list[str]]:
    """Folds events, oldest first, into at most L tokens.

    An event joins the latest token of its item if it is no later than that token's first event + merge window. A token keeps
    its place; its time and surface are its last event's. Events that are no action (impressions) are skipped whole.
    Returns items (list of n ids), actions [n, 14], gaps [n], surfaces [n], values [n], oldest first.
    """
    items: list[str] = []
    first: list[int] = []
    last: list[int] = []
    dwell: list[float] = []
    surface: list[str] = []
    done: list[int] = []  # bit set of actions
    latest: dict[str, int] = {}
    newest = -(1 << 62)
    for item_id, action, time_ms, value, name in zip(item_ids, actions, times_ms, values, surfaces):
        if not 0 <= action < ACTION_COUNT:
            continue
        newest = max(newest, time_ms)
        token = latest.get(item_id, -1)
        if token < 0 or time_ms > first[token] + features.merge_window_ms:
            token = latest[item_id] = len(items)
            items.append(item_id)
            first.append(time_ms)
            last.append(time_ms)
            dwell.append(0.0)
            surface.append(name)
            done.append(0)
        last[token] = time_ms
        surface[token] = name
        done[token] |= 1 << action
        if action == DWELL and math.isfinite(value) and value > dwell[token]:
            dwell[token] = value
    start = max(0, len(items) - features.history_max)
    bits = np.array(done[start:], dtype=np.int64).reshape(-1, 1)
    return {
        "items": items[start:],
        "actions": ((bits >> np.arange(ACTION_COUNT)) & 1).astype(np.float32),
        "gaps": np.array([time_bucket(newest - time) for time in last[start:]], dtype=np.int64),
        "surfaces": np.array([surface_bucket(name) for name in surface[start:]], dtype=np.int64),
        "values": (np.log1p(np.array(dwell[start:], dtype=np.float64)) / 5).astype(np.float32),
    }


def align_right(rows: np.ndarray, length: int, fill: float = 0) -> np.ndarray:
    """[n, ...] to [length, ...] with the newest row last and padding in front."""
    padded = np.full((length, *rows.shape[1:]), fill, dtype=rows.dtype)
    if len(rows):
        padded[length - len(rows):] = rows
    return padded


def history_inputs(tokens: Mapping, codes_of: Mapping[str, Sequence[int]], author_of: Mapping[str, str], levels: int,
                   features: FeatureConfig) -> dict[str, np.ndarray]:
    """The graphs' history inputs of one user, without the batch dimension. Items that are unknown have codes -1 and no author."""
    length, unknown = features.history_max, [-1] * levels
    items = tokens["items"]
    codes = np.array([codes_of.get(item, unknown) for item in items], dtype=np.int64).reshape(len(items), levels)
    authors = np.array([author_buckets(author_of.get(item, ""), features) for item in items], dtype=np.int64).reshape(len(items), 2)
    return {
        "history_codes": align_right(codes, length, -1),
        "history_authors": align_right(authors, length),
        "history_actions": align_right(tokens["actions"], length),
        "history_gaps": align_right(tokens["gaps"], length),
        "history_surfaces": align_right(tokens["surfaces"], length),
        "history_values": align_right(tokens["values"], length),
        "history_mask": align_right(np.ones(len(items), dtype=np.float32), length),
    }


def candidate_dense(in_network: bool, duration_ms: int, counts: Iterable[float], as_of_ms: int, now_ms: int, half_life_hours: float,
                    prior_rates: Sequence[float]) -> np.ndarray:
    """[18] float32: flags, duration, impressions, and per action how far the item's smoothed rate lies from the prior, in log-odds."""
    decay = 0.5 ** ((now_ms - as_of_ms) / (half_life_hours * 3_600_000)) if now_ms > as_of_ms else 1.0
    clean = [value * decay if math.isfinite(value) and value > 0 else 0.0 for value in counts][:ACTION_COUNT + 1]
    clean += [0.0] * (ACTION_COUNT + 1 - len(clean))
    done, impressions = clean[:ACTION_COUNT], clean[IMPRESSIONS]
    shown = max(impressions, *done)
    dense = [
        float(in_network), float(duration_ms > 0), math.log1p(max(0, duration_ms) / 1000) / 6, math.log1p(impressions) / 8,
    ]
    for count, prior in zip(done, prior_rates, strict=True):
        rate = min(0.98, (count + 20 * prior) / (shown + 20))
        dense.append(min(5.0, max(-5.0, _logit(rate) - _logit(prior))))
    assert len(dense) == DENSE_WIDTH
    return np.array(dense, dtype=np.float32)


def dense_batch(in_network: np.ndarray, duration_ms: np.ndarray, counts: np.ndarray, prior_rates: Sequence[float]) -> np.ndarray:
    """candidate_dense for [N] candidates whose counts [N, 15] are decayed to their request already: [N, 18] float32."""
    counts = np.where(np.isfinite(counts) & (counts > 0), counts, 0).astype(np.float64)
    prior = np.array(prior_rates, dtype=np.float64)
    shown = counts.max(axis=1, keepdims=True)
    rates = np.minimum(0.98, (counts[:, :ACTION_COUNT] + 20 * prior) / (shown + 20))
    lift = np.clip(np.log(rates / (1 - rates)) - np.log(prior / (1 - prior)), -5, 5)
    flags = np.stack([in_network, duration_ms > 0, np.log1p(np.maximum(0, duration_ms) / 1000) / 6, np.log1p(counts[:, IMPRESSIONS]) / 8], axis=1)
    return np.concatenate([flags, lift], axis=1).astype(np.float32)


def _logit(rate: float) -> float:
    return math.log(rate / (1 - rate))
