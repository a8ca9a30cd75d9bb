"""Metrics of full ranking and of probabilities. Each is vectorised; slow references live in the tests."""
import numpy as np


def target_ranks(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Rank (from 0) of each row's target among all columns.

    Equal scores count against the target: it ranks behind every other item with the same score, so a model that gives all items
    one score gets nothing. Scores that are not numbers rank last.
    """
    scores = np.where(np.isnan(scores), -np.inf, scores)
    own = scores[np.arange(len(targets)), targets][:, None]
    return (scores >= own).sum(axis=1) - 1


def ranking_metrics(ranks: np.ndarray, cutoffs: tuple[int, ...] = (10, 50, 200)) -> dict[str, float]:
    """HR@k (share of targets among the first k) and NDCG@10 (one relevant item: 1 / log2(rank + 2) inside the first 10)."""
    if len(ranks) == 0:
        return {f"HR@{k}": float("nan") for k in cutoffs} | {"NDCG@10": float("nan"), "MRR": float("nan")}
    gains = np.where(ranks < 10, 1 / np.log2(ranks + 2), 0.0)
    hits = {f"HR@{k}": float(np.mean(ranks < k)) for k in cutoffs}
    return hits | {"NDCG@10": float(gains.mean()), "MRR": float(np.mean(1 / (ranks + 1)))}


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Chance that a positive outranks a negative, ties count half (Mann-Whitney). NaN where one class is missing."""
    labels = np.asarray(labels, dtype=bool)
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if positives == 0 or negatives == 0:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_rank = last - (counts - 1) / 2
    return float((mean_rank[inverse][labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    clipped = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return float(-np.mean(labels * np.log(clipped) + (1 - labels) * np.log1p(-clipped)))


def calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int = 20) -> float:
    """Mean distance of predicted from observed rate over bins of equal count, weighted by their size."""
    if len(labels) == 0:
        return float("nan")
    order = np.argsort(probabilities, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return float(sum(abs(labels[part].mean() - probabilities[part].mean()) * len(part) for part in parts) / len(labels))
