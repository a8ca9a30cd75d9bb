"""KuaiRand-Pure by time: the mesh's ranker against smoothed rates, per action; and new items with semantic IDs against item IDs."""
from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
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
from ..loop import Training, device
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
    # No author among the words, so none to drop; few codes, as there are few tags. Chosen on the last tenth of the training requests.
    content=ContentConfig(steps=600, window_hours=336.0, author_dropout=0.0), semantic_ids=SemanticIdConfig(levels=3, codes_per_level=32),
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


def item_number_ranker(config: Config) -> Ranker:
    """A ranker for codes that spell the item's number: the bigram table holds an embedding per item, and the tables that items would
    share stay zero. All else is as with semantic IDs."""
    ranker = Ranker(config)
    with torch.no_grad():
        ranker.head.bias.copy_(torch.logit(torch.tensor(config.features.prior_rates)))
    for table in (ranker.history.semantic.first, *ranker.history.semantic.deeper):
        nn.init.zeros_(table.weight)
        table.weight.requires_grad_(False)
    return ranker


def train_ranker(name: str, ranker: Ranker, run: Run, codes: np.ndarray) -> None:
    """Trains on requests before the split, and calibrates on the last tenth of them."""
    config = run.config
    data, held_out = (Joined(part[0], codes, config) for part in (run.training, run.validation))

    def loss_of(generator: np.random.Generator) -> torch.Tensor:
        requests = generator.integers(0, data.catalogue.rows, config.ranker.batch)
        inputs, labels, real = data.candidates(requests)
        arrays = to_tensors(data.history(requests) | inputs)
        return masked_bce(ranker(arrays, arrays), *(torch.from_numpy(array).to(device()) for array in (labels, real)))

    Training(name, ranker, config, run.out, config.ranker.steps, config.ranker.learning_rate, made_from=run.made_from("ranker")).run(loss_of)
    calibrate(ranker, *predict(ranker, [held_out], batch=256))


def probabilities(ranker: Ranker, data: Joined) -> np.ndarray:
    with torch.no_grad():
        return ranker.probabilities(predict(ranker, [data], batch=256)[0]).cpu().numpy()


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
    cut = log.first[before_split(log)]
    shared[:, 1:] = (shared[:, 1:] - shared[:cut, 1:].mean(axis=0)) / shared[:cut, 1:].std(axis=0)
    combined, without_user = np.empty_like(item_rate), np.empty_like(item_rate)
    labels = rows.bits_to_rows(log.labels)
    for action in range(ACTION_COUNT):
        lifts = np.stack([logit(r[:, action]) - logit(rates.prior[action]) for r in (item_rate, author_rate, surface_rate, user_rate)], axis=1)
        for out, features in ((without_user, np.hstack([shared[:, :-1], lifts[:, :-1]])), (combined, np.hstack([shared, lifts]))):
            weights = logistic(features[:cut], labels[:cut, action])
            out[:, action] = 1 / (1 + np.exp(-features @ weights))
    return {"item and author rates": item_rate, "logistic: item, author, surface, length, age": without_user, "the same + the user's own rates": combined}


@dataclass(frozen=True)
class Arm:
    """A row of the table: a ranker, by what its items and its histories are."""
    title: str
    name: str
    item_ids: bool = False
    acted_only: bool = False


ARMS = (Arm("mesh ranker, semantic IDs", "ranker-semantic"), Arm("mesh ranker, item IDs", "ranker-ids", item_ids=True),
        Arm("mesh ranker, semantic IDs, no impressions", "ranker-acted", acted_only=True))


def ranker_answers(config: Config, logs: dict[bool, rows.Catalogue], out: Path) -> dict[str, np.ndarray]:
    """Probabilities [test exposures, 14] of each arm, trained with this configuration's seed."""
    log = logs[False]
    cut = before_split(log)
    run = LogRun(config, log.slice_rows(0, cut), out)
    for step in (content, semantic_ids):
        if not (run.out / f"{step.__name__.split('.')[-1]}.pt").exists():
            step.train(run)
    codes, _ = encode_items(run.models(content=True, quantizer=True).item, log)
    ids = dataclasses.replace(config.semantic_ids, codes_per_level=math.ceil(math.sqrt(len(codes))))
    answers = {}
    for arm in ARMS:
        train, test = logs[arm.acted_only].slice_rows(0, cut), logs[arm.acted_only].slice_rows(cut, log.rows)
        arm_run = LogRun(dataclasses.replace(config, semantic_ids=ids) if arm.item_ids else config, train, run.out)
        if arm.item_ids:
            chosen, ranker = item_number_codes(len(codes), ids), item_number_ranker(arm_run.config)
        else:
            models = run.models(content=True, quantizer=True)
            chosen, ranker = codes, models.ranker
            ranker.start_from(models.item.quantizer.codebooks, arm_run.config.features.prior_rates)
        train_ranker(arm.name, ranker, arm_run, chosen)
        answers[arm.title] = probabilities(ranker, Joined(test, chosen, arm_run.config))
    return answers


def run_kuairand(data: Path, out: Path, json_file: Path | None, seed: int, seeds: int) -> None:
    if not 1 <= seeds <= 100:
        raise SystemExit(f"--seeds is {seeds}; it must be 1..100.")
    folder = data if (data / "log_standard_0425_0508_pure.csv.xz").exists() else data / "kuairand-pure"
    exposures, videos, earlier = kuairand.load(folder)
    logs = {acted_only: kuairand.catalogue(exposures, videos, earlier, CONFIG.features, acted_only) for acted_only in (False, True)}
    log = logs[False]
    cut = before_split(log)
    labels = rows.bits_to_rows(log.slice_rows(cut, log.rows).labels)
    items = log.item[log.first[cut]:]
    shown = np.bincount(log.item[:log.first[cut]], minlength=len(log.item_created_ms))
    cold, first_seen = shown[items] <= COLD_EVENTS, shown[items] == 0

    answers = {name: [values[log.first[cut]:]] for name, values in tabular(log).items()}
    for number in range(seed, seed + seeds):
        for title, values in ranker_answers(dataclasses.replace(CONFIG, seed=number), logs, out / f"seed{number}").items():
            answers.setdefault(title, []).append(values)

    place = {name: i for i, name in enumerate(names())}
    table = []
    for part, where in (("all", np.ones(len(cold), bool)), (f"<= {COLD_EVENTS} before", cold), ("first seen after", first_seen)):
        heads = HEADS if part == "all" else HEADS[:3]
        for title, runs in answers.items():
            scores = np.array([[auc(labels[where, place[head]], run[where, place[head]]) for head in heads] for run in runs])
            spread = scores.mean(axis=1).std(ddof=1) if len(runs) > 1 else float("nan")
            table.append({"items": part, "model": title, **dict(zip(heads, scores.mean(axis=0).tolist())), "mean": float(scores.mean()), "std of mean": float(spread),
                          "ECE of click": float(np.mean([calibration_error(labels[where, place["click"]], run[where, place["click"]]) for run in runs]))})
    publish("kuairand", "KuaiRand-Pure by time, AUC per action", [
        f"{len(log.item)} exposures ({exposures.duplicates} exact duplicates dropped), {log.rows} requests (one user on one surface, at most 10 minutes apart); trained until "
        f"30 April 2022, tested on {len(cold)} exposures from 1 May (Beijing time), {int(cold.sum())} of them of items shown at most {COLD_EVENTS} times before and {int(first_seen.sum())} never.",
        "Counters, rates and histories of all models are as of each request, weights as of the split. The whole-period statistics file is not read.",
        "Histories hold what was shown and passed over, as the user's rates do; in the last row, only what was acted on.",
        "dwell = long view, video_complete = played to the end, reply = comment, share = forward, not_interested = hate. On cold items only the actions with enough positives are shown.",
        f"Positives in the test: {', '.join(f'{head} {int(labels[:, place[head]].sum())}' for head in HEADS)}. Rankers: {seeds} seeds from {seed}, means, and the standard deviation of the mean column over seeds."],
        table, out, json_file)
