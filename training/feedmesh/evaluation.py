"""What a ranker is worth on requests it never saw: AUC, calibration error and cross entropy per head, and a baseline to compare with."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import rows
from .config import ACTION_COUNT

BINS = 15


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Chance that a random positive scores above a random negative, ties counting half; nan without both. scores, labels [C]."""
    positives = int(labels.sum())
    if positives in (0, len(labels)):
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((rank[labels > 0].sum() - positives * (positives + 1) / 2) / (positives * (len(labels) - positives)))


def calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """ECE over bins of equal counts: how far the mean prediction is from the share of positives, weighted by size."""
    parts = np.array_split(np.argsort(probabilities, kind="stable"), BINS)
    return float(sum(abs(probabilities[part].mean() - labels[part].mean()) * len(part) for part in parts if len(part)) / len(labels))


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> list[tuple[float, float]]:
    """Mean prediction and share of positives per bin of equal counts."""
    parts = np.array_split(np.argsort(probabilities, kind="stable"), BINS)
    return [(float(probabilities[part].mean()), float(labels[part].mean())) for part in parts if len(part)]


def loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Cross entropy per head and candidate; both [C, 14]."""
    p = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    return float(-(labels * np.log(p) + (1 - labels) * np.log(1 - p)).mean())


def heads(probabilities: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Per head: AUC, ECE, normalised entropy (below 1 beats the constant rate) and the reliability curve. Both [C, 14]."""
    report = {}
    for head, name in enumerate(names):
        p, y = probabilities[:, head].astype(np.float64), labels[:, head]
        rate = y.mean()
        entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate)) if 0 < rate < 1 else float("nan")
        report[name] = {"auc": auc(p, y), "ece": calibration_error(p, y), "ne": loss(p, y) / entropy, "rate": float(rate), "curve": reliability(p, y)}
    return report


def summary(report: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Means over the heads that have both labels."""
    return {f"mean_{key}": float(np.nanmean([head[key] for head in report.values()])) for key in ("auc", "ece", "ne")}


def smoothed_rates(catalogue: rows.Catalogue, prior_rates: Sequence[float]) -> np.ndarray:
    """The baseline [C, 14]: an item's rate, smoothed towards its author's, smoothed towards the prior; all as of the request.

    Item counts are the counters that the ranker gets too; an author's are all that earlier requests showed and saw done."""
    prior = np.array(prior_rates)
    labels, author = rows.bits_to_rows(catalogue.labels), catalogue.item_author_ids[catalogue.item]
    authors = int(author.max(initial=-1)) + 2  # the last row counts items without an author
    done, shown = np.zeros((authors, ACTION_COUNT)), np.zeros(authors)
    rates = np.empty((len(author), ACTION_COUNT))
    for request in range(catalogue.rows):
        at = slice(catalogue.first[request], catalogue.first[request + 1])
        who = author[at]
        rates[at] = (done[who] + 50 * prior) / (shown[who] + 50)[:, None]
        np.add.at(done, who, labels[at])
        np.add.at(shown, who, 1)
    counts = catalogue.counts.astype(np.float64)
    most = counts.max(axis=1, keepdims=True)
    return np.minimum(0.98, (counts[:, :ACTION_COUNT] + 20 * rates) / (most + 20))
