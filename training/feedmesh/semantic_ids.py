"""Step 2: semantic IDs from content embeddings, by residual k-means or RQ-VAE: python3 -m feedmesh.semantic_ids."""
from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import kmeans, loop, rows
from .nn.content import ContentEmbedding, ResidualQuantizer
from .run import Run
from .rqvae import RqVae


def train(run: Run) -> None:
    config, ids = run.config, run.config.semantic_ids
    models = run.models(content=True)
    quantizer = models.item.quantizer.to(loop.device())
    each = [embed(models.item.content, catalogue) for catalogue in run.training]
    content = torch.cat(each)
    if ids.method == "kmeans":
        quantizer.codebooks.copy_(kmeans.fit(content, ids.levels, ids.codes_per_level, ids.iterations, ids.normalize_residuals, config.seed))
    else:
        vae = RqVae(quantizer, ids, content, config.seed)
        loop.Training("rqvae", vae, config, run.out, ids.steps, 1e-3, made_from=run.made_from("semantic_ids")).run(vae.loss)
    run.save("semantic_ids", quantizer)
    metrics = measure(quantizer, each)
    metrics["validation"] = measure(quantizer, [embed(models.item.content, catalogue) for catalogue in run.validation])
    run.write_metrics("semantic_ids", metrics)


@torch.no_grad()
def embed(content: ContentEmbedding, catalogue: rows.Catalogue) -> Tensor:
    """Content of every item of a data set, [I, content]."""
    return content(torch.from_numpy(catalogue.item_tokens).long().to(loop.device()))


@torch.no_grad()
def measure(quantizer: ResidualQuantizer, contents: list[Tensor]) -> dict[str, Any]:
    """Collision rate (share of items whose full code another item of their catalogue has), code-book use and reconstruction error by level."""
    parts = [quantizer.walk(quantizer.encoder(content)) for content in contents]
    codes, errors = torch.cat([part[0] for part in parts]), torch.cat([part[2] for part in parts])
    levels, per_level = quantizer.codebooks.shape[:2]
    collisions = 0
    for part in parts:
        _, inverse, counts = np.unique(part[0].cpu().numpy(), axis=0, return_inverse=True, return_counts=True)
        collisions += int((counts[inverse] > 1).sum())
    used = [torch.bincount(codes[:, level], minlength=per_level).float() / len(codes) for level in range(levels)]
    return {
        "items": len(codes), "collision_rate": collisions / len(codes), "distinct_ids": len(torch.unique(codes, dim=0)),
        "error_by_level": [round(float(error), 4) for error in errors.mean(0)],
        "codes_used": [int((share > 0).sum()) for share in used],
        "perplexity": [round(float(torch.exp(-(share * torch.log(share + 1e-12)).sum())), 1) for share in used],
        "use": [[round(float(s), 5) for s in share.sort(descending=True).values] for share in used],
    }


if __name__ == "__main__":
    train(Run.from_arguments(__doc__))
