"""Step 4: the ranker, trained on whole requests and calibrated on held-out ones: python3 -m feedmesh.ranker."""
from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import evaluation, loop, rows
from .actions import names
from .batches import Joined, encode_items, shuffle_authors, to_tensors
from .config import ACTION_COUNT, Config
from .nn.ranker import Ranker
from .package import Models
from .run import Run

PLACES_MAX = 64
CALIBRATION_STEPS = 200


class Trainee(nn.Module):
    """The ranker, and what is only there while it learns: how much less is done further down a page. Serving asks as of no place,
    so that a candidate's score can not depend on where it will stand."""

    def __init__(self, ranker: Ranker) -> None:
        super().__init__()
        self.ranker = ranker
        self.place = nn.Parameter(torch.zeros(PLACES_MAX, ACTION_COUNT))

    def forward(self, history: dict[str, Tensor], candidates: dict[str, Tensor]) -> Tensor:
        logits = self.ranker(history, candidates)
        place = torch.arange(logits.shape[1], device=logits.device).clamp(max=PLACES_MAX - 1)
        return logits + self.place[place]


def masked_bce(logits: Tensor, labels: Tensor, real: Tensor) -> Tensor:
    """Mean binary cross entropy per head and candidate; logits and labels [B, N, 14], real [B, N]."""
    loss = F.binary_cross_entropy_with_logits(logits.float(), labels, reduction="none").mean(-1)
    return (loss * real).sum() / real.sum()


def train(run: Run) -> None:
    config = run.config
    models = run.models(content=True, quantizer=True)
    models.ranker.start_from(models.item.quantizer.codebooks, config.features.prior_rates)
    trainee = Trainee(models.ranker)
    sets = join(models, run.training, config)
    shares = np.array([entry.catalogue.rows for entry in sets], dtype=np.float64)

    def loss_of(generator: np.random.Generator) -> Tensor:
        data = sets[generator.choice(len(sets), p=shares / shares.sum())]
        requests = generator.integers(0, data.catalogue.rows, config.ranker.batch)
        inputs, labels, real = data.candidates(requests)
        arrays = to_tensors(data.history(requests) | inputs)
        shuffle_authors(arrays, config.ranker.author_shuffle, config.features.author_buckets)
        return masked_bce(trainee(arrays, arrays), torch.from_numpy(labels).to(loop.device()), torch.from_numpy(real).to(loop.device()))

    losses = loop.Training("ranker", trainee, config, run.out, config.ranker.steps, config.ranker.learning_rate).run(loss_of)
    ranker = trainee.ranker
    predicted = predict(ranker, join(models, run.validation, config))
    calibrate(ranker, *predicted)
    run.save("ranker", ranker)
    logits, labels = predicted
    probabilities = ranker.probabilities(logits).detach().cpu().numpy()
    report = evaluation.heads(probabilities, labels.cpu().numpy(), names())
    run.write_metrics("ranker", {"loss_first": float(np.mean(losses[:50])), "loss": float(np.mean(losses[-50:])),
                                 "held_out_loss": evaluation.loss(probabilities, labels.cpu().numpy()), **evaluation.summary(report), "heads": report})


def join(models: Models, catalogues: list[rows.Catalogue], config: Config) -> list[Joined]:
    """Data sets with their semantic IDs."""
    return [Joined(catalogue, encode_items(models.item, catalogue)[0], config) for catalogue in catalogues]


@torch.no_grad()
def predict(ranker: Ranker, sets: list[Joined], batch: int = 64) -> tuple[Tensor, Tensor]:
    """Logits before calibration and labels of every candidate of some data sets, both [C, 14], in order."""
    ranker.eval()
    logits, labels = [], []
    for data in sets:
        for start in range(0, data.catalogue.rows, batch):
            requests = np.arange(start, min(start + batch, data.catalogue.rows))
            inputs, done, real = data.candidates(requests)
            arrays = to_tensors(data.history(requests) | inputs)
            logits.append(ranker(arrays, arrays)[torch.from_numpy(real).to(loop.device())])
            labels.append(torch.from_numpy(done[real]))
    return torch.cat(logits), torch.cat(labels).to(loop.device())


def calibrate(ranker: Ranker, logits: Tensor, labels: Tensor) -> None:
    """Platt scaling per head: the scale and shift that fit held-out labels best. Stored in the graph."""
    scale, shift = torch.ones(ACTION_COUNT, device=logits.device, requires_grad=True), torch.zeros(ACTION_COUNT, device=logits.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([scale, shift], max_iter=CALIBRATION_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(logits * scale + shift, labels, reduction="none").mean(0).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        # A head that is backwards on held-out data would turn every rank around; it keeps its order and a flat scale instead.
        ranker.scale.copy_(scale.clamp(min=0.05))
        ranker.shift.copy_(shift)


if __name__ == "__main__":
    train(Run.from_arguments(__doc__))
