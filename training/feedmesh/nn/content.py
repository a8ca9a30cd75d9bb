"""Content embedding and residual quantiser: what an item is from its tokens alone, so that a new item has a place at once."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import ContentConfig, FeatureConfig, SemanticIdConfig


class ContentEmbedding(nn.Module):
    """A hashed bag of tokens. Every bucket has a weight of its own: as the field is part of the hash, fields weigh differently."""

    def __init__(self, features: FeatureConfig, config: ContentConfig) -> None:
        super().__init__()
        self.table = nn.Embedding(features.token_buckets, config.dimensions, padding_idx=0)
        self.weight = nn.Embedding(features.token_buckets, 1)
        nn.init.normal_(self.table.weight, std=config.dimensions ** -0.5)
        nn.init.zeros_(self.weight.weight)
        self.register_buffer("center", torch.zeros(config.dimensions))
        with torch.no_grad():
            self.table.weight[0].zero_()

    def forward(self, tokens: Tensor) -> Tensor:
        """[N, T] to [N, content], length 1."""
        return F.normalize(self.raw(tokens) - self.center, dim=-1, eps=1e-6)

    def raw(self, tokens: Tensor) -> Tensor:
        """The same before what all items share is taken off: in training they lie in one corner of the space, with a cosine of
        0.86 between any two on the synthetic world, which would leave the codes and int8 a seventh of their range."""
        summed = (self.table(tokens) * torch.exp(self.weight(tokens)) * (tokens > 0).unsqueeze(-1).float()).sum(1)
        return F.normalize(summed, dim=-1, eps=1e-6)

    @torch.no_grad()
    def set_center(self, tokens: Tensor) -> None:
        """Takes off the mean of some items, [N, T]; once, after training."""
        self.center.copy_(self.raw(tokens).mean(0))


class ResidualQuantizer(nn.Module):
    """Codebooks [levels, codes, latent], coarse to fine: each level quantises what the levels before it left.

    With k-means the latent space is the content space; with RQ-VAE an encoder leads there, and a decoder, not exported, back.
    """

    def __init__(self, ids: SemanticIdConfig, dimensions: int) -> None:
        super().__init__()
        rqvae = ids.method == "rqvae"
        self.normalize = ids.normalize_residuals and not rqvae
        latent = ids.latent if rqvae else dimensions
        self.encoder = _mlp(dimensions, ids.hidden, latent) if rqvae else nn.Identity()
        self.decoder = _mlp(latent, ids.hidden, dimensions) if rqvae else nn.Identity()
        self.register_buffer("codebooks", torch.randn(ids.levels, ids.codes_per_level, latent) * 0.3)

    def forward(self, content: Tensor) -> Tensor:
        """[N, content] to codes [N, levels]."""
        return self.walk(self.encoder(content))[0]

    def walk(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Latents [N, latent] to codes, how much nearer the chosen code is than the next, and what is left of x; each [N, levels].
        What is left is a squared length as a share of x's."""
        codes, margins, errors, scale = [], [], [], 1 / torch.sqrt((x * x).sum(-1, keepdim=True) + 1e-12)
        for level in range(self.codebooks.shape[0]):
            book = self.codebooks[level]
            score = torch.matmul(x, book.t()) - 0.5 * (book * book).sum(-1)
            code = score.argmax(-1)
            best = score.topk(2, dim=-1).values
            x = x - book[code]
            errors.append((x * x).sum(-1, keepdim=True) * scale * scale)
            if self.normalize:
                # The floor keeps a residual of mere rounding from becoming a direction that no two machines agree on.
                length = torch.sqrt((x * x).sum(-1, keepdim=True) + 1e-6)
                x, scale = x / length, scale * length
            codes.append(code)
            margins.append(best[:, :1] - best[:, 1:])
        return torch.stack(codes, dim=-1), torch.cat(margins, dim=-1), torch.cat(errors, dim=-1)


def _mlp(width: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, out))
