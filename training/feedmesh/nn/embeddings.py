"""Embeddings of semantic IDs, authors and history tokens."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from ..config import ACTION_COUNT, GAP_BUCKETS, SURFACE_BUCKETS, EncoderConfig, FeatureConfig, SemanticIdConfig

HISTORY_INPUTS = (
    "history_codes", "history_authors", "history_actions", "history_gaps", "history_surfaces", "history_values", "history_mask",
)


START_STD = 0.3


class SemanticEmbedding(nn.Module):
    """Sum of prefix embeddings. History is read at truncated depth: the first code, and the first two as one bigram id."""

    def __init__(self, ids: SemanticIdConfig, width: int) -> None:
        super().__init__()
        self.codes, self.levels = ids.codes_per_level, ids.levels
        self.first = padded_table(ids.codes_per_level + 1, width)
        self.bigram = padded_table(ids.codes_per_level ** 2 + 1, width)
        self.deeper = nn.ModuleList(padded_table(ids.codes_per_level + 1, width) for _ in range(ids.levels - 2))

    @torch.no_grad()
    def start_from(self, codebooks: Tensor) -> None:
        """Begins with what the codes mean: centroids [levels, codes, content], at the scale of a fresh table, by a fixed random
        projection where the widths differ. From random rows a tower needs hundreds of steps to find out which codes are alike."""
        content, width = codebooks.shape[2], self.first.embedding_dim
        generator = torch.Generator().manual_seed(content * width)
        project = torch.eye(content) if content == width else torch.randn(content, width, generator=generator) * content ** -0.5
        levels = [(book.cpu() @ project) for book in codebooks]
        scale = START_STD / levels[0].std()
        self.first.weight[1:] = levels[0] * scale
        self.bigram.weight[1:] = (levels[1] * scale).repeat(self.codes, 1)  # row c1 * K + c2 holds what c2 adds
        for table, level in zip(self.deeper, levels[2:]):
            table.weight[1:] = level * scale

    def truncated(self, codes: Tensor) -> Tensor:
        """[..., levels] with -1 for unknown to [..., width]."""
        return self.first(codes[..., 0] + 1) + self.bigram(self.bigram_ids(codes) + 1)

    def full(self, codes: Tensor) -> Tensor:
        """The same at full depth: candidates and the latest event."""
        x = self.truncated(codes)
        for level, table in enumerate(self.deeper, start=2):
            x = x + table(codes[..., level] + 1)
        return x

    def bigram_ids(self, codes: Tensor) -> Tensor:
        """c1 * K + c2, or -1 where the item is unknown: [...]."""
        return torch.clamp(codes[..., 0] * self.codes + codes[..., 1], min=-1)


class AuthorEmbedding(nn.Module):
    """Two hashes, one table. Whole requests lose their authors in training, so that unseen authors are nothing new."""

    def __init__(self, features: FeatureConfig, author: int, width: int, dropout: float) -> None:
        super().__init__()
        self.table = padded_table(features.author_buckets, author)
        self.project = nn.Linear(author, width, bias=False)
        self.dropout = dropout

    def forward(self, authors: Tensor, keep: Tensor | None) -> Tensor:
        """[B, N, 2] to [B, N, width]; keep [B, 1, 1] is 0 where a request's authors are dropped."""
        x = self.project(self.table(authors[..., 0]) + self.table(authors[..., 1]))
        return x if keep is None else x * keep

    def draw_keep(self, batch: int, device: torch.device) -> Tensor | None:
        """Which requests of a training batch keep their authors; None when not training."""
        if not self.training or self.dropout == 0:
            return None
        return (torch.rand(batch, 1, 1, device=device) >= self.dropout).float()


class HistoryEmbedding(nn.Module):
    """History inputs to tokens [B, L, token] with zeros at padding, and the latest event at full depth [B, 1, token]."""

    def __init__(self, features: FeatureConfig, ids: SemanticIdConfig, encoder: EncoderConfig, author_dropout: float) -> None:
        super().__init__()
        self.semantic = SemanticEmbedding(ids, encoder.token)
        self.author = AuthorEmbedding(features, encoder.author, encoder.token, author_dropout)
        self.actions = nn.Linear(ACTION_COUNT, encoder.token, bias=False)
        self.gap = nn.Embedding(GAP_BUCKETS, encoder.token)
        self.surface = padded_table(SURFACE_BUCKETS, encoder.token)
        self.value = nn.Linear(1, encoder.token, bias=False)
        self.norm = nn.LayerNorm(encoder.token)
        nn.init.normal_(self.gap.weight, std=0.1)

    def forward(self, history: dict[str, Tensor], keep: Tensor | None) -> tuple[Tensor, Tensor]:
        actions, codes = history["history_actions"], history["history_codes"]
        # Signed multi-hot: what was not done says something too, unless nothing was.
        signed = (2 * actions - 1) * (actions.sum(-1, keepdim=True) > 0).float()
        known = (self.author(history["history_authors"], keep) + self.actions(signed) + self.gap(history["history_gaps"])
                 + self.surface(history["history_surfaces"]) + self.value(history["history_values"].unsqueeze(-1)))
        mask = history["history_mask"].unsqueeze(-1)
        tokens = self.norm(known + self.semantic.truncated(codes)) * mask
        latest = self.norm(known[:, -1:] + self.semantic.full(codes[:, -1:])) * mask[:, -1:]
        return tokens, latest


def padded_table(rows: int, width: int) -> nn.Embedding:
    """An embedding whose row 0 is padding: zero, and never trained."""
    table = nn.Embedding(rows, width, padding_idx=0)
    nn.init.normal_(table.weight, std=0.1)
    with torch.no_grad():
        table.weight[0].zero_()
    return table
