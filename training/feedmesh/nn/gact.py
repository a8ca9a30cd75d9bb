"""The Global-Aware Compression Transformer: fold k neighbours into one wide token, add global tokens, attend, pool.

With fold 1 the same code is plain attention over L tokens, the reference that folding is measured against.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn

from ..config import EncoderConfig
from .attention import Block


class GactEncoder(nn.Module):
    """Tokens [B, L, token] to layers of keys and values over M = globals + 1 + L / fold tokens, and a pooled vector."""

    def __init__(self, config: EncoderConfig, length: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.fold, self.globals_count = config.fold, config.globals
        folded = config.fold * config.token
        self.project = nn.Identity() if folded == config.width else nn.Linear(folded, config.width)
        if config.fold > 1 and config.token == config.width:
            start_as_sum(self.project, config.fold)
        self.latest = nn.Linear(config.token, config.width)
        self.globals = nn.Parameter(torch.randn(1, config.globals, config.width) * 0.5)
        # Rows count from the newest token backwards: more padding in front moves nothing.
        self.position = nn.Parameter(torch.randn(length // config.fold, config.width) * 0.1)
        self.blocks = nn.ModuleList(Block(config.width, config.heads, config.widening, dropout) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, tokens: Tensor, latest: Tensor, mask: Tensor) -> tuple[list[tuple[Tensor, Tensor]], Tensor, Tensor]:
        """mask [B, L]. Returns (keys, values) per layer, outputs of the global tokens [B, G, width], pooled [B, width]."""
        batch, length = tokens.shape[0], tokens.shape[1]
        x = self.project(fold(tokens, self.fold)) + self.position[:length // self.fold].flip(0)
        x = torch.cat([self.globals.expand(batch, -1, -1), self.latest(latest), x], dim=1)
        m = torch.cat([torch.ones_like(mask[:, :1]).expand(-1, self.globals_count), mask[:, -1:], fold_mask(mask, self.fold)], dim=1)
        layers = []
        for block in self.blocks:
            x, keys, values = block.context(x, m)
            layers.append((keys, values))
        x = self.norm(x)
        pooled = sum_rows(x * m.unsqueeze(-1)) / (m.sum(1, keepdim=True) + 1e-6)
        return layers, x[:, :self.globals_count], pooled


def fold(tokens: Tensor, k: int) -> Tensor:
    """[B, L, d] to [B, L / k, k d]: k neighbours side by side along the channels. No parameters, no arithmetic."""
    return tokens if k == 1 else tokens.reshape(tokens.shape[0], tokens.shape[1] // k, k * tokens.shape[2])


def fold_mask(mask: Tensor, k: int) -> Tensor:
    """A folded token counts as soon as one of its k does; as history is right-aligned that is its last."""
    return mask if k == 1 else mask.reshape(mask.shape[0], mask.shape[1] // k, k)[..., -1]


@torch.no_grad()
def start_as_sum(project: nn.Linear, k: int) -> None:
    """Starts a folded token as half the sum of its k neighbours, with a little of the usual noise to tell them apart. From noise alone the
    projection must first learn k times what one event means: at L = 800, k = 4 AUC was .833 after 500 steps, from the sum .848 (plain: .850)."""
    project.weight.mul_(0.3).add_(0.5 * torch.eye(project.out_features, device=project.weight.device).repeat(1, k))
    project.bias.zero_()


def sum_rows(x: Tensor) -> Tensor:
    """[B, L, d] to [B, d]. As a product: ONNX Runtime adds in another order where B is 1 than where it is more."""
    return torch.matmul(torch.ones_like(x[:, :, 0]).unsqueeze(1), x)[:, 0]
