"""Semantic IDs of a catalogue from texts and from what is consumed together in TRAINING histories, by residual k-means."""
import re

import numpy as np

ITEMS_MAX = 12_000


def text_features(titles: list[str], genres: list[list[str]], years: np.ndarray) -> np.ndarray:
    """Rows of unit length: genres (weight 1), year as a soft bucket of about five years, title words seen in at least two titles by tf-idf."""
    kinds = sorted({g for row in genres for g in row})
    kind_part = np.array([[k in row for k in kinds] for row in genres], dtype=np.float64)
    centres = np.arange(years[1:].min() if len(years) > 1 else 0, years.max() + 5, 5)
    year_part = np.exp(-((years[:, None] - centres) / 5.0) ** 2)
    words = [re.findall(r"[a-z0-9]+", title.lower()) for title in titles]
    counts: dict[str, int] = {}
    for row in words:
        for word in set(row):
            counts[word] = counts.get(word, 0) + 1
    column = {word: i for i, word in enumerate(sorted(w for w, n in counts.items() if 2 <= n <= len(titles) // 20))}
    word_part = np.zeros((len(titles), len(column)))
    for i, row in enumerate(words):
        for word in row:
            if word in column:
                word_part[i, column[word]] = np.log(len(titles) / counts[word])
    return unit(np.hstack([unit(kind_part), unit(year_part), 0.7 * unit(word_part)]))


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)


def together_features(histories: list[np.ndarray], item_count: int, dim: int = 64, window: int = 5) -> np.ndarray:
    """Rows of unit length from a factorised positive PMI of items at most `window` places apart; items never seen are zero."""
    if item_count > ITEMS_MAX:
        raise SystemExit(f"{item_count} items: semantic IDs are made from a dense item x item matrix here, for at most {ITEMS_MAX}. Use --models sasrec.")
    pairs = np.zeros((item_count + 1, item_count + 1))
    for history in histories:
        for gap in range(1, min(window, len(history) - 1) + 1):
            np.add.at(pairs, (history[gap:], history[:-gap]), 1.0 / gap)
    pairs += pairs.T
    margin = pairs.sum(axis=1) ** 0.75
    share = margin / max(margin.sum(), 1e-9)
    with np.errstate(divide="ignore", invalid="ignore"):
        pmi = np.log(pairs / np.maximum(pairs.sum(axis=1, keepdims=True), 1e-9) / share[None, :])
    pmi = np.where(pairs > 0, np.maximum(pmi, 0), 0)
    values, vectors = np.linalg.eigh((pmi + pmi.T) / 2)
    keep = np.argsort(-np.abs(values), kind="stable")[:dim]
    return unit(vectors[:, keep] * np.sqrt(np.abs(values[keep])))


def catalogue_vectors(text: np.ndarray, histories: list[np.ndarray], trust: float = 10.0) -> np.ndarray:
    """Text features beside co-consumption features, [items + 1, dims].

    An item with n training events keeps n / (n + trust) of its own co-consumption; the rest is foretold from its text by a ridge
    regression over the well-known items, so that a new item lands among those that people who like such texts also like.
    """
    item_count = len(text) - 1
    together = together_features(histories, item_count)
    counts = np.bincount(np.concatenate(histories), minlength=item_count + 1)
    known = counts >= 20
    if known.sum() < 2 or text.shape[1] == 0:
        return np.hstack([text, together])
    x, y = text[known], together[known]
    foretold = text @ np.linalg.solve(x.T @ x + 3.0 * np.eye(x.shape[1]), x.T @ y)
    own = (counts / (counts + trust))[:, None]
    return np.hstack([text, unit(own * together + (1 - own) * foretold)])


def k_means(x: np.ndarray, k: int, random: np.random.Generator, rounds: int = 25) -> tuple[np.ndarray, np.ndarray]:
    """Lloyd's rounds from k-means++ seeds; a cluster that empties takes the point that is worst served."""
    centres = x[[random.integers(len(x))]]
    nearest = ((x - centres[0]) ** 2).sum(axis=1)
    while len(centres) < k:
        weights = nearest / nearest.sum() if nearest.sum() > 0 else np.full(len(x), 1 / len(x))
        pick = x[random.choice(len(x), p=weights)]
        centres = np.vstack([centres, pick])
        nearest = np.minimum(nearest, ((x - pick) ** 2).sum(axis=1))
    for _ in range(rounds):
        distances = (x ** 2).sum(axis=1)[:, None] - 2 * x @ centres.T + (centres ** 2).sum(axis=1)
        codes = distances.argmin(axis=1)
        served = distances[np.arange(len(x)), codes]
        for c in range(k):
            members = codes == c
            if members.any():
                centres[c] = x[members].mean(axis=0)
            else:
                worst = served.argmax()
                centres[c], served[worst] = x[worst], -np.inf
    return codes, centres


def semantic_ids(vectors: np.ndarray, levels: int, codes_per_level: int, seed: int) -> np.ndarray:
    """Codes per item, [items + 1, levels], coarse to fine: each level clusters what the levels before it left over. Row 0 is padding."""
    random = np.random.default_rng(seed)
    residual, columns = vectors[1:].copy(), []
    for _ in range(levels):
        codes, centres = k_means(residual, codes_per_level, random)
        residual -= centres[codes]
        columns.append(codes)
    return np.vstack([np.full((1, levels), -1), np.stack(columns, axis=1)])


def item_tokens(codes: np.ndarray, counts: np.ndarray, support: int = 5) -> np.ndarray:
    """Per item dense ids of its prefixes of each length, its collision token, and its own id; [items + 1, levels + 2], 0 for none.

    The collision token is 1 for the item with most training events among those that share all codes, 2 for the next, and so on. A
    prefix longer than one level, or an item, with at most `support` training events behind it has no token: cross entropy over the
    catalogue would only ever teach it that nobody wants it.
    """
    levels = codes.shape[1]
    tokens = np.zeros((len(codes), levels + 2), dtype=np.int64)
    for level in range(levels):
        _, inverse = np.unique(codes[1:, : level + 1], axis=0, return_inverse=True)
        tokens[1:, level] = inverse + 1
    taken: dict[int, int] = {}
    for item in np.argsort(-counts[1:], kind="stable") + 1:
        taken[tokens[item, levels - 1]] = tokens[item, levels] = taken.get(tokens[item, levels - 1], 0) + 1
    tokens[:, -1] = np.arange(len(codes))
    for column in [*range(1, levels), levels + 1]:
        events = np.bincount(tokens[:, column], weights=counts)
        tokens[events[tokens[:, column]] <= support, column] = 0
    return tokens


def collision_report(codes: np.ndarray) -> dict[str, float]:
    """Prefixes in use per level, and the share of items that share all their codes with another."""
    report = {f"prefixes of {n}": len(np.unique(codes[1:, :n], axis=0)) for n in range(1, codes.shape[1] + 1)}
    _, inverse, sizes = np.unique(codes[1:], axis=0, return_inverse=True, return_counts=True)
    return report | {"share of items that share all codes": float(np.mean(sizes[inverse] > 1))}
