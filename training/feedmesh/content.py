"""Step 1: content embeddings. Items that one user engaged with within a window lie close: python3 -m feedmesh.content."""
from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from . import loop, rows
from .nn.content import ContentEmbedding
from .run import Run


class Pairs:
    """Co-engaged pairs of one data set, drawn at random."""

    def __init__(self, catalogue: rows.Catalogue, window_hours: float) -> None:
        row = np.repeat(np.arange(catalogue.rows), np.diff(catalogue.first))
        engaged = (catalogue.labels & rows.positive_bits()) > 0
        user, time, item = catalogue.row_user[row[engaged]], catalogue.row_time_ms[row[engaged]], catalogue.item[engaged]
        order = np.lexsort((time, user))
        self.item = item[order].astype(np.int64)
        # One number that sorts by user, then time: the window of an engagement is a range of it.
        stamp = user[order].astype(np.float64) * 1e13 + (time[order] - catalogue.row_time_ms[0])
        window = window_hours * 3_600_000
        self.low, self.high = np.searchsorted(stamp, stamp - window, "left"), np.searchsorted(stamp, stamp + window, "right")
        self.first = np.nonzero(self.high - self.low > 1)[0]
        counts = np.bincount(self.item, minlength=len(catalogue.item_created_ms)) + 1.0
        self.log_q = np.log(counts / counts.sum()).astype(np.float32)

    def draw(self, count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """count pairs of item indices, both [count]."""
        first = self.first[generator.integers(0, len(self.first), count)]
        width = self.high[first] - self.low[first] - 1
        second = self.low[first] + generator.integers(0, width)
        second += second >= first  # never the engagement itself
        return self.item[first], self.item[second]


def pair_loss(x: Tensor, y: Tensor, log_q: Tensor, same: Tensor, temperature: float) -> Tensor:
    """In-batch softmax with log-Q correction. x, y [N, d] unit vectors, log_q [N] of y, same [N, N]: y_j is x_i or y_i once more."""
    logits = x @ y.t() / temperature - log_q
    eye = torch.eye(len(x), dtype=torch.bool, device=x.device)
    return F.cross_entropy(logits.masked_fill(same & ~eye, -1e4), torch.arange(len(x), device=x.device))


def train(run: Run) -> None:
    config = run.config.content
    content = run.models().item.content
    sets = [(torch.from_numpy(c.item_author_ids >= 0).to(loop.device()), Pairs(c, config.window_hours),
             torch.from_numpy(c.item_tokens).long().to(loop.device())) for c in run.training]
    sets = [entry for entry in sets if len(entry[1].first)]
    if not sets:
        raise ValueError(f"No user engaged with two items within {config.window_hours} hours: content can not be learnt from these rows.")

    def loss_of(generator: np.random.Generator) -> Tensor:
        # A batch is of one data set: negatives of another would be told apart by their authors alone.
        authored, pairs, tokens = sets[generator.integers(len(sets))]
        first, second = pairs.draw(config.batch, generator)
        x, y = (content(_without_authors(tokens[items], authored[items], config.author_dropout)) for items in map(torch.from_numpy, (first, second)))
        same = torch.from_numpy((first[:, None] == second) | (second[:, None] == second)).to(x.device)
        return pair_loss(x, y, torch.from_numpy(pairs.log_q[second]).to(x.device), same, config.temperature)

    losses = loop.Training("content", content, run.config, run.out, config.steps, config.learning_rate, 0.0,
                           run.made_from("content")).run(loss_of)
    _shrink_unseen(content, run.training)
    content.set_center(torch.cat([tokens for _, _, tokens in sets]))
    run.save("content", content)
    with torch.no_grad():
        run.write_metrics("content", {"loss_first": float(np.mean(losses[:50])), "loss": float(np.mean(losses[-50:])),
                                      "validation_hit_at_10": _hit_rate(content, run.validation, config.window_hours)})


def _without_authors(tokens: Tensor, authored: Tensor, dropout: float) -> Tensor:
    """Drops the author's token, the first of an item that has one; tokens [N, T], authored [N]."""
    keep = (torch.rand(len(tokens), device=tokens.device) >= dropout) | ~authored
    return torch.cat([tokens[:, :1] * keep.unsqueeze(1), tokens[:, 1:]], dim=1)


UNSEEN = 0.5


def _shrink_unseen(content: ContentEmbedding, catalogues: list[rows.Catalogue]) -> None:
    """Buckets that training never met keep their random direction, at half a typical length, so that items of unknown words are told
    apart. On new worlds recall and AUC are the same from 0 to 0.5; of 500 items made of unknown words alone, 0.1 leaves all in 2 first
    codes, 0.5 spreads them over 43 of 64."""
    seen = np.zeros(content.table.num_embeddings, dtype=bool)
    for catalogue in catalogues:
        seen[np.unique(catalogue.item_tokens)] = True
    with torch.no_grad():
        weight = content.table.weight
        typical = weight[torch.from_numpy(seen)].norm(dim=1).mean()
        unseen = torch.from_numpy(~seen).to(weight.device)
        weight[unseen] = F.normalize(weight[unseen], dim=1) * typical * UNSEEN
        weight[0] = 0


def _hit_rate(content: ContentEmbedding, catalogues: list[rows.Catalogue], window_hours: float) -> float:
    """Share of co-engaged pairs of unseen data where the second is among the ten items nearest to the first."""
    generator, hits = np.random.default_rng(1), []
    for catalogue in catalogues:
        pairs = Pairs(catalogue, window_hours)
        if not len(pairs.first):
            continue
        first, second = pairs.draw(500, generator)
        vectors = content(torch.from_numpy(catalogue.item_tokens).long().to(loop.device()))
        different = first != second
        if different.any():
            hits.append((others_at_least_as_near(vectors, first[different], second[different]) < 10).float().mean().item())
    return float(np.mean(hits)) if hits else 0.0


def others_at_least_as_near(vectors: Tensor, first: np.ndarray, second: np.ndarray) -> Tensor:
    """How many items, the pair itself aside, lie as near to the first as the second does, [N]. Equal vectors count, so that a content
    that is the same for all items finds nothing."""
    scores = vectors[torch.from_numpy(first)] @ vectors.t()
    row = torch.arange(len(first))
    own = scores[row, torch.from_numpy(second)].unsqueeze(1)
    scores[row, torch.from_numpy(first)] = -torch.inf
    return (scores >= own).sum(1) - 1


if __name__ == "__main__":
    train(Run.from_arguments(__doc__))
