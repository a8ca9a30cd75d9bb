"""RQ-VAE: encoder, residual codebooks and decoder trained together. Codebooks start from k-means and follow by moving averages;
gradients pass the quantiser straight through; a code that dies moves to a latent of the batch."""
from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from . import kmeans
from .config import SemanticIdConfig
from .nn.content import ResidualQuantizer

BATCH = 1024
DEAD_ROWS = 0.05  # a batch, as a moving average; less where there are more codes than rows of a batch


class RqVae(nn.Module):
    """The loss of one batch, and the codebooks' own update beside it. Its moving averages are buffers, so that a checkpoint holds them."""

    def __init__(self, quantizer: ResidualQuantizer, ids: SemanticIdConfig, content: Tensor, seed: int) -> None:
        super().__init__()
        self.quantizer, self._ids, self._content = quantizer, ids, content
        levels, codes, _ = quantizer.codebooks.shape
        with torch.no_grad():
            quantizer.codebooks.copy_(kmeans.fit(quantizer.encoder(content), levels, codes, ids.iterations, False, seed))
        self.register_buffer("counts", torch.ones(levels, codes, device=content.device))
        self.register_buffer("sums", quantizer.codebooks.clone())

    def loss(self, generator: np.random.Generator) -> Tensor:
        """Reconstruction and commitment, per row."""
        content = self._content[torch.from_numpy(generator.integers(0, len(self._content), BATCH))]
        latent = self.quantizer.encoder(content).float()  # codebooks stay in full precision under autocast
        residual, quantized, commitment = latent, torch.zeros_like(latent), latent.new_zeros(())
        for level, book in enumerate(self.quantizer.codebooks):
            code = kmeans.nearest(residual.detach(), book)[0]
            chosen = book[code]
            commitment = commitment + ((residual - chosen.detach()) ** 2).sum(-1).mean()
            self._follow(level, code, residual.detach(), generator)
            residual, quantized = residual - chosen.detach(), quantized + chosen.detach()
        through = latent + (quantized - latent).detach()
        return ((self.quantizer.decoder(through) - content) ** 2).sum(-1).mean() + self._ids.beta * commitment

    @torch.no_grad()
    def _follow(self, level: int, code: Tensor, residual: Tensor, generator: np.random.Generator) -> None:
        keep, codes = self._ids.ema, self._ids.codes_per_level
        counts = torch.bincount(code, minlength=codes).float()
        self.counts[level].mul_(keep).add_(counts, alpha=1 - keep)
        self.sums[level].mul_(keep).add_(torch.zeros_like(self.sums[level]).index_add_(0, code, residual), alpha=1 - keep)
        dead = torch.nonzero(self.counts[level] < DEAD_ROWS * min(1.0, BATCH / codes)).flatten()
        if len(dead):
            self.sums[level][dead] = residual[torch.from_numpy(generator.integers(0, len(residual), len(dead)))]
            self.counts[level][dead] = 1.0
        self.quantizer.codebooks[level] = self.sums[level] / self.counts[level].unsqueeze(1)
