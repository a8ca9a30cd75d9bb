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
    return auc_within(labels, scores, np.zeros(len(scores), dtype=np.int64))


def auc_within(labels: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> float:
    """The same over pairs of one group (a request) only; all [n]. Each group weighs by its positives times its negatives, so this is
    the share of a page's pairs that are in order, over all pages. NaN where no group has both."""
    labels, scores = np.asarray(labels) > 0, _finite(scores, "scores")
    if not len(scores):
        return float("nan")
    order = np.lexsort((scores, groups))
    labels, scores, groups = labels[order], scores[order], np.asarray(groups)[order]
    new_group = np.diff(groups, prepend=groups[0] - 1) != 0
    new_run = new_group | (np.diff(scores, prepend=scores[0] - 1) != 0)
    group, run = np.cumsum(new_group) - 1, np.cumsum(new_run) - 1
    mean_rank = np.flatnonzero(new_run) + (np.bincount(run) - 1) / 2  # of equal scores, among all
    rank = mean_rank[run] - np.flatnonzero(new_group)[group] + 1
    positives = np.bincount(group, weights=labels)
    pairs = positives * (np.bincount(group) - positives)
    if pairs.sum() == 0:
        return float("nan")
    in_order = np.bincount(group, weights=rank * labels) - positives * (positives + 1) / 2
    return float(in_order.sum() / pairs.sum())


def ndcg_within(gains: np.ndarray, scores: np.ndarray, groups: np.ndarray, depth: int = 10) -> float:
    """Mean over groups with a gain above 0 of DCG@depth by score, as a share of the best order's; all [n], gains 0 or more.

    Equal scores count against the group: what gains less stands first. NaN where no group gains anything."""
    gains, groups = np.asarray(gains, dtype=np.float64), np.asarray(groups)
    if not len(gains):
        return float("nan")
    found, best = (_dcg(gains[order], groups[order], depth) for order in (
        np.lexsort((gains, -_finite(scores, "scores"), groups)), np.lexsort((-gains, groups))))
    return float((found[best > 0] / best[best > 0]).mean()) if (best > 0).any() else float("nan")


def _dcg(gains: np.ndarray, groups: np.ndarray, depth: int) -> np.ndarray:
    """Discounted gain of each group, [groups]; in order of group, then of rank."""
    new = np.diff(groups, prepend=groups[0] - 1) != 0
    group = np.cumsum(new) - 1
    rank = np.arange(len(gains)) - np.flatnonzero(new)[group]
    return np.bincount(group, weights=np.where(rank < depth, gains / np.log2(rank + 2), 0.0))


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean cross entropy, in nats."""
    p = np.clip(np.asarray(probabilities, dtype=np.float64), 1e-7, 1 - 1e-7)
    return float(-(labels * np.log(p) + (1 - labels) * np.log1p(-p)).mean())


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = 20) -> list[tuple[float, float, int]]:
    """Mean prediction, share of positives and size of bins of about equal counts. Equal predictions share a bin, whatever their order."""
    values, inverse, counts = np.unique(_finite(probabilities, "probabilities"), return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    bin_of = np.minimum((middle * bins / max(1, len(inverse))).astype(np.int64), bins - 1)[inverse]
    size = np.bincount(bin_of, minlength=bins)
    predicted, observed = (np.bincount(bin_of, weights=column, minlength=bins) for column in (probabilities, labels))
    return [(float(p / n), float(y / n), int(n)) for p, y, n in zip(predicted, observed, size) if n]


def calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int = 20) -> float:
    """Mean distance of predicted from observed rate over the bins of `reliability`, weighted by their size."""
    if len(labels) == 0:
        return float("nan")
    return sum(abs(predicted - observed) * size for predicted, observed, size in reliability(labels, probabilities, bins)) / len(labels)


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"{int((~np.isfinite(values)).sum())} of {len(values)} {name} are not finite: a model that gives such has failed.")
    return values
