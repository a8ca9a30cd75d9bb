"""Attention with bounded logits, so that softmax needs neither a pass for the maximum nor a mask over logits.

Queries and keys have length 1, and a learned scale per head is at most SCALE_MAX: exp() can not overflow. The values carry
a column of ones, whose product is the softmax's denominator, and the rows of padding are zero in both: they add nothing
above or below the line. A candidate's attention to itself is then one more term of both sums; nothing is concatenated.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn

SCALE_MAX = 16.0


class Attention(nn.Module):
    """Multi-head projections shared by context and candidates."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head = heads, width // heads
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.merge = nn.Linear(width, width)
        self.log_scale = nn.Parameter(torch.full((heads, 1, 1), 1.0))

    def heads_of(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, N, width] to queries, keys and values, each [B, heads, N, head]; queries carry the scale."""
        batch, count, width = x.shape[0], x.shape[1], self.heads * self.head
        q, k, v = (self.project(x)[..., i * width:(i + 1) * width].view(batch, count, self.heads, self.head).transpose(1, 2) for i in range(3))
        return _unit(q) * torch.clamp(torch.exp(self.log_scale), max=SCALE_MAX), _unit(k), v

    def keys_values(self, k: Tensor, v: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Context as candidates read it: keys [B, heads, head, M], values with the ones column [B, heads, M, head + 1]."""
        m = mask[:, None, :, None]
        return k.transpose(2, 3), torch.cat([v, torch.ones_like(v[..., :1])], dim=-1) * m

    def attend(self, q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Softmax attention of every query to the context: [B, N, width]."""
        sums = torch.matmul(torch.exp(torch.matmul(q, keys)), values)
        return self._merge(sums[..., :self.head] / sums[..., self.head:])

    def attend_and_self(self, q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """The same, where each query also sees its own key and value and nothing else beside the context."""
        sums = torch.matmul(torch.exp(torch.matmul(q, keys)), values)
        own = torch.exp((q * k).sum(-1, keepdim=True))
        return self._merge((sums[..., :self.head] + own * v) / (sums[..., self.head:] + own))

    def _merge(self, x: Tensor) -> Tensor:
        return self.merge(x.transpose(1, 2).reshape(x.shape[0], x.shape[2], self.heads * self.head))


def _unit(x: Tensor) -> Tensor:
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6)


class Block(nn.Module):
    """Pre-norm transformer block. The same weights serve context tokens and candidates."""

    def __init__(self, width: int, heads: int, widening: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.feed_norm = nn.LayerNorm(width)
        self.feed = nn.Sequential(nn.Linear(width, widening * width), nn.GELU(), nn.Linear(widening * width, width))
        self.dropout = nn.Dropout(dropout)

    def context(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens [B, M, width] and mask [B, M] to new tokens, and the keys and values that candidates attend to."""
        q, k, v = self.attention.heads_of(self.norm(x))
        keys, values = self.attention.keys_values(k, v, mask)
        return self._feed(x + self.dropout(self.attention.attend(q, keys, values))), keys, values

    def candidates(self, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Candidates [B, N, width], each alone with the context."""
        q, k, v = self.attention.heads_of(self.norm(x))
        return self._feed(x + self.dropout(self.attention.attend_and_self(q, k, v, keys, values)))

    def _feed(self, x: Tensor) -> Tensor:
        return x + self.dropout(self.feed(self.feed_norm(x)))
