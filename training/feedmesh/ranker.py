"""Step 4: the ranker, trained on whole requests and calibrated on held-out ones: python3 -m feedmesh.ranker."""
from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import evaluation, loop, rows
from .actions import names, weights
from .batches import Joined, encode_items, shuffle_authors, to_tensors
from .config import ACTION_COUNT, Config
from .evaluate.metrics import log_loss
from .nn.ranker import Ranker
from .package import Models
from .progress import Progress
from .run import Run

PLACES_MAX = 64
CALIBRATION_STEPS = 200
SCALE_MIN = 0.05


class Trainee(nn.Module):
    """The ranker, and what is only there while it learns: how much less is done further down a page. Serving asks as of no place,
    so that a candidate's score can not depend on where it will stand."""

    def __init__(self, ranker: Ranker) -> None:
        super().__init__()
        self.ranker = ranker
        self.place = nn.Parameter(torch.zeros(PLACES_MAX, ACTION_COUNT))

    def forward(self, history: dict[str, Tensor], candidates: dict[str, Tensor]) -> Tensor:
        logits = self.ranker(history, candidates)
        return logits + self.place[candidates["candidate_places"].clamp(max=PLACES_MAX - 1)]


def masked_bce(logits: Tensor, labels: Tensor, real: Tensor) -> Tensor:
    """Mean binary cross entropy per head and candidate, 0 without any; logits and labels [B, N, 14], real [B, N]."""
    loss = F.binary_cross_entropy_with_logits(logits.float(), labels, reduction="none").mean(-1)
    return (loss * real).sum() / real.sum().clamp(min=1)


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

    losses = loop.Training("ranker", trainee, config, run.out, config.ranker.steps, config.ranker.learning_rate, made_from=run.made_from("ranker")).run(loss_of)
    ranker = trainee.ranker
    logits, labels = predict(ranker, join(models, run.validation, config))
    # Every second held-out request calibrates; what is reported is of the others.
    requests = evaluation.requests_of(run.validation)
    if requests.max() < 1:
        raise ValueError("One request is held out; calibration and its measure need one each. Give more data, or a larger held_out.")
    reported = torch.from_numpy(requests % 2 == 1).to(logits.device)
    calibrate(ranker, logits[~reported], labels[~reported])
    run.save("ranker", ranker)
    probabilities, truth = ranker.probabilities(logits[reported]).detach().cpu().numpy(), labels[reported].cpu().numpy()
    requests = requests[requests % 2 == 1]
    report = evaluation.heads(truth, probabilities, requests, names())
    constant = np.broadcast_to(np.array(config.features.prior_rates), truth.shape)
    run.write_metrics("ranker", {"loss_first": float(np.mean(losses[:50])), "loss": float(np.mean(losses[-50:])),
                                 "held_out_loss": log_loss(truth, probabilities), "constant_loss": log_loss(truth, constant),
                                 **evaluation.summary(report), "ndcg_at_10": evaluation.page_ndcg(truth, probabilities, requests, weights()), "heads": report})


def join(models: Models, catalogues: list[rows.Catalogue], config: Config) -> list[Joined]:
    """Data sets with their semantic IDs."""
    return [Joined(catalogue, encode_items(models.item, catalogue)[0], config) for catalogue in catalogues]


@torch.no_grad()
def predict(ranker: Ranker, sets: list[Joined], batch: int = 64) -> tuple[Tensor, Tensor]:
    """Logits before calibration and labels of every candidate of some data sets, both [C, 14], in order."""
    ranker.eval()
    logits, labels, progress = [], [], Progress("score", sum(data.catalogue.rows for data in sets), brief=True)
    for data in sets:
        for start in range(0, data.catalogue.rows, batch):
            requests = np.arange(start, min(start + batch, data.catalogue.rows))
            inputs, done, real = data.candidates(requests)
            arrays = to_tensors(data.history(requests) | inputs)
            logits.append(ranker(arrays, arrays)[torch.from_numpy(real).to(loop.device())])
            labels.append(torch.from_numpy(done[real]))
            progress.advance(steps=len(requests))
    return torch.cat(logits), torch.cat(labels).to(loop.device())


def calibrate(ranker: Ranker, logits: Tensor, labels: Tensor) -> None:
    """Platt scaling per head: the scale and shift that fit held-out labels best. Stored in the graph. Both [C, 14].

    Each label is drawn towards one half by one part in C + 1 (half a positive and half a negative more), so that a head without positives
    has an optimum; and (scale - 1)^2 weighs as much as the loss of one candidate, so that a scale without evidence stays at 1.
    """
    x, count = logits.double(), len(logits)
    y = (labels.double() * count + 0.5) / (count + 1)
    scale, shift = torch.ones_like(x[0], requires_grad=True), torch.zeros_like(x[0], requires_grad=True)
    progress = Progress("calibrate, at most", 2 * CALIBRATION_STEPS, brief=True)
    optimizer = torch.optim.LBFGS([scale, shift], max_iter=CALIBRATION_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(x * scale + shift, y, reduction="none").mean(0).sum() + ((scale - 1) ** 2).sum() / count
        loss.backward()
        progress.advance()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        # A head that is backwards on held-out data would turn every rank around; it keeps its order and a flat scale instead.
        ranker.scale.copy_(scale.clamp(min=SCALE_MIN))
        ranker.shift.copy_(_shift_to_rate(x * ranker.scale.double(), y.mean(0)))


def _shift_to_rate(logits: Tensor, rate: Tensor) -> Tensor:
    """Per head the shift whose mean probability is the rate, by halving: it grows with the shift. logits [C, 14], rate [14]."""
    low, high = -logits.max(0).values + torch.logit(rate), -logits.min(0).values + torch.logit(rate)
    for _ in range(50):
        middle = (low + high) / 2
        below = torch.sigmoid(logits + middle).mean(0) < rate
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


if __name__ == "__main__":
    train(Run.from_arguments(__doc__))
