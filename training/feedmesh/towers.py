"""Step 3: the two towers of retrieval: python3 -m feedmesh.towers.

A request's history must point at what the user engages with on its page. The loss is cross entropy over the whole catalogue as of
the request (towers.loss "full", for small ones), or over in-batch and global negatives with log-Q correction ("sampled").
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from . import loop, rows
from .batches import Joined, encode_items, shuffle_authors, to_tensors
from .config import Config
from .nn.towers import ItemTower, UserTower
from .package import Models
from .progress import Progress
from .run import Run


@dataclass
class TowerSet:
    """One data set, ready for the towers."""

    joined: Joined
    content: Tensor           # [I, content]
    codes: Tensor             # [I, levels]
    created_ms: Tensor        # [I]
    requests: np.ndarray      # those with an engagement
    log_q: Tensor             # [I] log of the share of engagements

    @staticmethod
    def of(models: Models, catalogue: rows.Catalogue, config: Config) -> "TowerSet":
        codes, content = encode_items(models.item, catalogue)
        engaged = (catalogue.labels & rows.positive_bits()) > 0
        row = np.repeat(np.arange(catalogue.rows), np.diff(catalogue.first))
        counts = np.bincount(catalogue.item[engaged], minlength=len(codes)) + 0.1
        return TowerSet(
            Joined(catalogue, codes, config), content, torch.from_numpy(codes).to(loop.device()), torch.from_numpy(catalogue.item_created_ms).to(loop.device()),
            np.unique(row[engaged]), torch.from_numpy(np.log(counts / counts.sum()).astype(np.float32)).to(loop.device()))

    def targets(self, requests: np.ndarray) -> tuple[Tensor, Tensor]:
        """What was engaged with [B, I], and what could have been shown: created by then, not engaged with before [B, I]. Both 0 or 1."""
        c = self.joined.catalogue
        engaged = np.zeros((len(requests), len(self.codes)), dtype=np.float32)
        for row, request in enumerate(requests):
            at = slice(c.first[request], c.first[request + 1])
            engaged[row, c.item[at][(c.labels[at] & rows.positive_bits()) > 0]] = 1
        open_ = (c.item_created_ms[None, :] <= c.row_time_ms[requests][:, None]).astype(np.float32)
        history = c.history_item[requests]
        row, place = np.nonzero(history >= 0)
        open_[row, history[row, place]] = 0
        engaged_now = torch.from_numpy(engaged).to(loop.device())
        return engaged_now, torch.maximum(torch.from_numpy(open_).to(loop.device()), engaged_now)


class Towers(nn.Module):
    """Both towers and the temperature, as one module to train."""

    def __init__(self, user: UserTower, item: ItemTower) -> None:
        super().__init__()
        self.user, self.item = user, item
        self.log_scale = nn.Parameter(torch.tensor(2.3))

    def scores(self, users: Tensor, items: Tensor) -> Tensor:
        """Users [B, V, dim], items [I, dim] to logits [B, I]: the nearest of a user's vectors counts."""
        return (users @ items.t()).max(dim=1).values * torch.clamp(torch.exp(self.log_scale), max=50.0)


def softmax_loss(scores: Tensor, engaged: Tensor, open_: Tensor) -> Tensor:
    """Cross entropy to the engaged items of each request, over what was open; all [B, I]. One request weighs as much as any other."""
    log_p = torch.log_softmax(scores.float().masked_fill(open_ == 0, -1e4), dim=-1)
    return -((log_p * engaged).sum(-1) / engaged.sum(-1).clamp(min=1)).mean()


def sampled_columns(engaged: Tensor, log_q: Tensor, negatives: int, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Columns of the batch's own engagements and as many uniform ones as asked for, with the log of how often each is drawn."""
    own = torch.nonzero(engaged.sum(0)).flatten()
    items = engaged.shape[1]
    drawn = torch.from_numpy(np.unique(generator.integers(0, items, negatives))).to(own.device)
    columns = torch.unique(torch.cat([own, drawn]))
    chance = torch.exp(log_q[columns]) * float(engaged.sum()) + negatives / items
    return columns, torch.log(torch.clamp(chance, max=1.0))


def train(run: Run) -> None:
    config, tower = run.config, run.config.towers
    models = run.models(content=True, quantizer=True)
    sets = [TowerSet.of(models, catalogue, config) for catalogue in run.training]
    sets = [entry for entry in sets if len(entry.requests)]
    models.user.start_from(models.item.tower, models.item.quantizer.codebooks)
    towers = Towers(models.user, models.item.tower)
    training = loop.Training("towers", towers, config, run.out, tower.steps, tower.learning_rate, made_from=run.made_from("towers"))
    losses = training.run(lambda generator: _loss(towers, sets, config, generator))
    run.save("item_tower", models.item.tower)
    run.save("user_tower", models.user)
    run.write_metrics("towers", {"loss_first": float(np.mean(losses[:50])), "loss": float(np.mean(losses[-50:])), **measure(models, run.validation, config)})


def _loss(towers: Towers, sets: list[TowerSet], config: Config, generator: np.random.Generator) -> Tensor:
    data = sets[generator.integers(len(sets))]
    requests = data.requests[generator.integers(0, len(data.requests), config.towers.batch)]
    history = to_tensors(data.joined.history(requests))
    shuffle_authors(history, config.towers.author_shuffle, config.features.author_buckets)
    engaged, open_ = data.targets(requests)
    users = towers.user(history)
    if config.towers.loss == "full":
        return softmax_loss(towers.scores(users, towers.item(data.content, data.codes)), engaged, open_)
    columns, log_chance = sampled_columns(engaged, data.log_q, config.towers.negatives, generator)
    scores = towers.scores(users, towers.item(data.content[columns], data.codes[columns])) - log_chance
    return softmax_loss(scores, engaged[:, columns], open_[:, columns])


@torch.no_grad()
def measure(models: Models, catalogues: list[rows.Catalogue], config: Config, requests_max: int = 600) -> dict[str, float]:
    """Recall of engaged items among the nearest that were open, for the user tower and for the mean of the history's item vectors.

    Requests without a history are left out of both. Chance is their number by the open items."""
    tower_hits, mean_hits, chance, depth, progress = [], [], [], config.towers.recall_at, Progress("recall", len(catalogues), brief=True)
    for catalogue in catalogues:
        data = TowerSet.of(models, catalogue, config)
        with_history = data.requests[(catalogue.history_item[data.requests] >= 0).any(1)]
        requests = with_history[np.random.default_rng(7).permutation(len(with_history))[:requests_max]]
        vectors = models.item.tower(data.content, data.codes)
        for start in range(0, len(requests), 100):
            chunk = requests[start:start + 100]
            engaged, open_ = data.targets(chunk)
            users = models.user(to_tensors(data.joined.history(chunk)))
            tower_hits.append(_recall((users @ vectors.t()).max(dim=1).values, engaged, open_, depth))
            mean_hits.append(_recall(_mean_history(data, vectors, chunk) @ vectors.t(), engaged, open_, depth))
            chance.append(torch.clamp(depth / open_.sum(-1), max=1))
        progress.advance(catalogue.name)
    if not tower_hits:
        return {}
    return {f"recall_at_{depth}": float(torch.cat(tower_hits).mean()), "requests": len(torch.cat(chance)), f"recall_at_{depth}_mean_of_history": float(torch.cat(mean_hits).mean()),
            f"recall_at_{depth}_chance": float(torch.cat(chance).mean())}


def _recall(scores: Tensor, engaged: Tensor, open_: Tensor, depth: int) -> Tensor:
    """Share of each request's engaged items among its nearest open ones, [B]."""
    nearest = scores.masked_fill(open_ == 0, -1e4).topk(min(depth, scores.shape[1]), dim=-1).indices
    return engaged.gather(1, nearest).sum(-1) / engaged.sum(-1)


def _mean_history(data: TowerSet, vectors: Tensor, requests: np.ndarray) -> Tensor:
    """Mean vector of what the history holds, [B, dim]: what a mesh without a user tower would search with. Disliked items count against."""
    c = data.joined.catalogue
    item, bits = c.history_item[requests], c.history_actions[requests]
    sign = np.where((bits & ~rows.positive_bits()) > 0, -1.0, 1.0) * (item >= 0)
    weights = torch.from_numpy(sign.astype(np.float32)).to(vectors.device)
    return (vectors[torch.from_numpy(np.maximum(item, 0)).long()] * weights.unsqueeze(-1)).sum(1)


if __name__ == "__main__":
    train(Run.from_arguments(__doc__))
