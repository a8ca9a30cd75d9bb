"""KuaiRand-Pure by time: the mesh's ranker against smoothed rates, per action; and new items with semantic IDs against item IDs."""
from __future__ import annotations

import dataclasses
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .. import content, rows, semantic_ids
from ..actions import names
from ..batches import Joined, encode_items, to_tensors
from ..config import ACTION_COUNT, Config, ContentConfig, EncoderConfig, FeatureConfig, RankerConfig, SemanticIdConfig
from ..data import kuairand
from ..loop import Training
from ..nn.ranker import Ranker
from ..ranker import calibrate, masked_bce, predict
from ..run import Run
from .metrics import auc, calibration_error
from .report import publish

COLD_EVENTS = 5
SMOOTHING = 20.0
HEADS = ["click", "dwell", "video_complete", "like", "profile_click", "reply", "follow_author", "share", "not_interested"]

CONFIG = Config(
    name="kuairand", features=FeatureConfig(history_max=64, counter_half_life_hours=336.0),
    content=ContentConfig(steps=600, window_hours=336.0), semantic_ids=SemanticIdConfig(levels=3, codes_per_level=128),
    ranker=RankerConfig(encoder=EncoderConfig(token=32, fold=2, width=64, layers=2, heads=4, globals=4), steps=700, batch=128,
                        learning_rate=2e-3, author_dropout=0.2, author_shuffle=0.0))


class LogRun(Run):
    """A training run on rows that are in memory: only those before the split."""

    def __init__(self, config: Config, log: rows.Catalogue, out: Path):
        super().__init__(config, out, out)
        self._log = log

    @cached_property
    def catalogues(self) -> list[rows.Catalogue]:
        return [self._log]


def before_split(log: rows.Catalogue) -> int:
    return int(np.searchsorted(log.row_time_ms, kuairand.SPLIT_MS))


def train_ranker(name: str, run: Run, codes: np.ndarray, item_ids: bool) -> Ranker:
    """The mesh's ranker on requests before the split, calibrated on the last tenth of them.

    With item_ids the codes spell the item's number: the bigram table holds an embedding per item, and the tables that items
    would share stay zero. All else is equal.
    """
    config = run.config
    models = run.models(content=True, quantizer=True)
    ranker = models.ranker
    ranker.start_from(models.item.quantizer.codebooks, config.features.prior_rates)
    if item_ids:
        nn.init.normal_(ranker.history.semantic.bigram.weight[1:], std=0.1)
        for table in (ranker.history.semantic.first, *ranker.history.semantic.deeper):
            nn.init.zeros_(table.weight)
            table.weight.requires_grad_(False)
    data, held_out = (Joined(part[0], codes, config) for part in (run.training, run.validation))

    def loss_of(generator: np.random.Generator) -> torch.Tensor:
        requests = generator.integers(0, data.catalogue.rows, config.ranker.batch)
        inputs, labels, real = data.candidates(requests)
        arrays = to_tensors(data.history(requests) | inputs)
        return masked_bce(ranker(arrays, arrays), torch.from_numpy(labels), torch.from_numpy(real))

    Training(name, ranker, config, run.out, config.ranker.steps, config.ranker.learning_rate).run(loss_of)
    calibrate(ranker, *predict(ranker, [held_out], batch=256))
    return ranker


def probabilities(ranker: Ranker, data: Joined) -> np.ndarray:
    with torch.no_grad():
        return ranker.probabilities(predict(ranker, [data], batch=256)[0]).numpy()


def item_number_codes(items: int, ids: SemanticIdConfig) -> np.ndarray:
    """Codes [items, levels] whose first two spell the item's number; what lies deeper is the same for all."""
    if items > ids.codes_per_level ** 2:
        raise SystemExit(f"{items} items do not fit {ids.codes_per_level} x {ids.codes_per_level} bigrams.")
    number = np.arange(items)
    return np.stack([number // ids.codes_per_level, number % ids.codes_per_level, *[np.zeros(items, np.int64)] * (ids.levels - 2)], axis=1)


class Rates:
    """Smoothed rates per key as of each request: (done + s * parent) / (shown + s)."""

    def __init__(self, log: rows.Catalogue):
        self._labels = rows.bits_to_rows(log.labels).astype(np.float64)
        sizes = np.diff(log.first)
        self._times = np.repeat(log.row_time_ms, sizes)
        cut = log.first[before_split(log)]
        self.prior = np.clip(self._labels[:cut].mean(axis=0), 1e-5, 0.5)

    def of(self, keys: np.ndarray, parent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rates [n, 14] and how often the key was shown [n]. Requests of one moment do not see each other."""
        sums = kuairand.as_of(keys.astype(np.int64), self._times, np.hstack([self._labels, np.ones((len(keys), 1))]), keys.astype(np.int64), self._times)
        shown = sums[:, ACTION_COUNT]
        return (sums[:, :ACTION_COUNT] + SMOOTHING * parent) / (shown + SMOOTHING)[:, None], shown


def logistic(features: np.ndarray, labels: np.ndarray, rounds: int = 30, penalty: float = 1.0) -> np.ndarray:
    """Weights of an L2-penalised logistic regression by Newton's method; the first feature is the constant."""
    weights = np.zeros(features.shape[1])
    ridge = penalty * np.eye(features.shape[1])
    ridge[0, 0] = 1e-6
    for _ in range(rounds):
        p = 1 / (1 + np.exp(-np.clip(features @ weights, -30, 30)))
        step = np.linalg.solve((features * (p * (1 - p))[:, None]).T @ features + ridge, features.T @ (labels - p) - ridge @ weights)
        weights += step
        if np.abs(step).max() < 1e-6:
            break
    return weights


def tabular(log: rows.Catalogue) -> dict[str, np.ndarray]:
    """Probabilities [n, 14] of the baselines, all as of the request: an item's rate backed by its author's, and logistic regression of more rates."""
    rates = Rates(log)
    users, surface = (np.repeat(column, np.diff(log.first)) for column in (log.row_user, log.row_surface))
    author_rate, author_shown = rates.of(log.item_author_ids[log.item], rates.prior)
    item_rate, item_shown = rates.of(log.item, author_rate)
    user_rate, user_shown = rates.of(users, rates.prior)
    surface_rate, _ = rates.of(surface, rates.prior)
    logit = lambda p: np.log(np.clip(p, 1e-6, 1 - 1e-6)) - np.log1p(-np.clip(p, 1e-6, 1 - 1e-6))
    seconds = np.log1p(np.maximum(0, log.item_duration_ms[log.item]) / 1000)
    age = np.log1p(np.maximum(0, np.repeat(log.row_time_ms, np.diff(log.first)) - log.item_created_ms[log.item]) / 3_600_000)
    shared = np.stack([np.ones(len(log.item)), seconds, seconds ** 2, age, np.log1p(item_shown), np.log1p(author_shown), np.log1p(user_shown)], axis=1)
    shared[:, 1:] = (shared[:, 1:] - shared[:, 1:].mean(axis=0)) / shared[:, 1:].std(axis=0)
    cut = log.first[before_split(log)]
    combined, without_user = np.empty_like(item_rate), np.empty_like(item_rate)
    labels = rows.bits_to_rows(log.labels)
    for action in range(ACTION_COUNT):
        lifts = np.stack([logit(r[:, action]) - logit(rates.prior[action]) for r in (item_rate, author_rate, surface_rate, user_rate)], axis=1)
        for out, features in ((without_user, np.hstack([shared[:, :-1], lifts[:, :-1]])), (combined, np.hstack([shared, lifts]))):
            weights = logistic(features[:cut], labels[:cut, action])
            out[:, action] = 1 / (1 + np.exp(-features @ weights))
    return {"item and author rates": item_rate, "logistic: item, author, surface, length, age": without_user, "the same + the user's own rates": combined}


def run_kuairand(data: Path, out: Path, json_file: Path | None, seed: int) -> None:
    folder = data if (data / "log_standard_0425_0508_pure.csv.xz").exists() else data / "kuairand-pure"
    config = dataclasses.replace(CONFIG, seed=seed)
    exposures, videos, earlier = kuairand.load(folder)
    log = kuairand.catalogue(exposures, videos, earlier, config.features)
    cut = before_split(log)
    run = LogRun(config, log.slice_rows(0, cut), out / f"seed{seed}")
    for step in (content, semantic_ids):
        if not (run.out / f"{step.__name__.split('.')[-1]}.pt").exists():
            step.train(run)
    codes, _ = encode_items(run.models(content=True, quantizer=True).item, log)
    test = log.slice_rows(cut, log.rows)
    labels = rows.bits_to_rows(test.labels)
    shown = np.bincount(log.item[:log.first[cut]], minlength=len(log.item_created_ms))
    cold = shown[test.item] <= COLD_EVENTS
    first_seen = shown[test.item] == 0

    answers = {name: values[log.first[cut]:] for name, values in tabular(log).items()}
    for title, name, chosen, item_ids in (("mesh ranker, semantic IDs", "ranker-semantic", codes, False),
                                          ("mesh ranker, item IDs", "ranker-ids", item_number_codes(len(codes), config.semantic_ids), True)):
        ranker = train_ranker(name, run, chosen, item_ids)
        answers[title] = probabilities(ranker, Joined(test, chosen, run.config))

    place = {name: i for i, name in enumerate(names())}
    table = []
    for part, where in (("all", np.ones(len(cold), bool)), (f"<= {COLD_EVENTS} before", cold), ("first seen after", first_seen)):
        for title, predicted in answers.items():
            scores = {head: auc(labels[where, place[head]], predicted[where, place[head]]) for head in (HEADS if part == "all" else HEADS[:3])}
            rare = [scores[head] for head in HEADS if head in scores]
            table.append({"items": part, "model": title, **scores, "mean": float(np.nanmean(rare)),
                          "ECE of click": calibration_error(labels[where, place["click"]], predicted[where, place["click"]])})
    publish("kuairand", "KuaiRand-Pure by time, AUC per action", [
        f"{len(log.item)} exposures ({exposures.duplicates} exact duplicates dropped), {log.rows} requests (one user on one surface, at most 10 minutes apart); trained until "
        f"30 April 2022, tested on {len(cold)} exposures from 1 May (Beijing time), {int(cold.sum())} of them of items shown at most {COLD_EVENTS} times before and {int(first_seen.sum())} never.",
        "Counters, rates and histories of all models are as of each request, weights as of the split. The whole-period statistics file is not read.",
        "dwell = long view, video_complete = played to the end, reply = comment, share = forward, not_interested = hate. On cold items only the actions with enough positives are shown.",
        f"Positives in the test: {', '.join(f'{head} {int(labels[:, place[head]].sum())}' for head in HEADS)}. Seed {seed}."], table, out, json_file)
