"""What a ranker is worth on requests it never saw: order, calibration and cross entropy per head, and a baseline to compare with."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import rows
from .config import ACTION_COUNT
from .evaluate.metrics import auc, auc_within, calibration_error, log_loss, ndcg_within, reliability
from .progress import Progress


def heads(labels: np.ndarray, probabilities: np.ndarray, requests: np.ndarray, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Per head: AUC over all candidates (auc) and within requests (gauc), ECE, normalised entropy (below 1 beats the constant rate) and
    the reliability curve. Labels and probabilities [C, 14], requests [C]."""
    report = {}
    for head, name in enumerate(names):
        p, y = probabilities[:, head].astype(np.float64), labels[:, head]
        rate = y.mean()
        entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate)) if 0 < rate < 1 else float("nan")
        report[name] = {"auc": auc(y, p), "gauc": auc_within(y, p, requests), "ece": calibration_error(y, p), "ne": log_loss(y, p) / entropy,
                        "rate": float(rate), "curve": [point[:2] for point in reliability(y, p)]}
    return report


def summary(report: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Means over the heads that have both labels."""
    return {f"mean_{key}": float(np.nanmean([head[key] for head in report.values()])) for key in ("auc", "gauc", "ece", "ne")}


def page_ndcg(labels: np.ndarray, probabilities: np.ndarray, requests: np.ndarray, weights: Sequence[float]) -> float:
    """NDCG@10 of pages ordered by the weighted sum of the heads; a candidate gains the weighted sum of what was done with it, at least 0."""
    value = np.array(weights)
    return ndcg_within(np.maximum(labels @ value, 0), probabilities @ value, requests)


def requests_of(catalogues: Sequence[rows.Catalogue]) -> np.ndarray:
    """Number of each candidate's request, counted over all data sets, [C]."""
    sizes = np.concatenate([np.diff(c.first) for c in catalogues])
    return np.repeat(np.arange(len(sizes)), sizes)


def smoothed_rates(catalogue: rows.Catalogue, prior_rates: Sequence[float]) -> np.ndarray:
    """The baseline [C, 14]: an item's rate, smoothed towards its author's, smoothed towards the prior; all as of the request.

    Item counts are the counters that the ranker gets too; an author's are all that earlier requests showed and saw done."""
    prior = np.array(prior_rates)
    labels, author = rows.bits_to_rows(catalogue.labels), catalogue.item_author_ids[catalogue.item]
    authors = int(author.max(initial=-1)) + 2  # the last row counts items without an author
    done, shown = np.zeros((authors, ACTION_COUNT)), np.zeros(authors)
    rates = np.empty((len(author), ACTION_COUNT))
    progress = Progress(f"smoothed rates, {catalogue.name}", catalogue.rows, brief=True)
    for request in range(catalogue.rows):
        at = slice(catalogue.first[request], catalogue.first[request + 1])
        who = author[at]
        rates[at] = (done[who] + 50 * prior) / (shown[who] + 50)[:, None]
        np.add.at(done, who, labels[at])
        np.add.at(shown, who, 1)
        progress.advance()
    counts = catalogue.counts.astype(np.float64)
    most = counts.max(axis=1, keepdims=True)
    return np.minimum(0.98, (counts[:, :ACTION_COUNT] + 20 * rates) / (most + 20))
