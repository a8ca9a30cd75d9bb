"""The two towers of retrieval. Their dot product, of unit vectors, is a cosine: larger is closer."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import Config
from .content import ContentEmbedding, ResidualQuantizer
from .embeddings import HistoryEmbedding, SemanticEmbedding
from .gact import GactEncoder


class ItemTower(nn.Module):
    """Content [N, content] and codes [N, levels] to a unit vector [N, dim]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, tower = config.towers.encoder.token, config.towers
        self.content = nn.Linear(config.content.dimensions, width)
        self.semantic = SemanticEmbedding(config.semantic_ids, width)
        self.feed = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * tower.dimensions), nn.GELU(), nn.Linear(2 * tower.dimensions, tower.dimensions))
        self.skip = nn.Linear(config.content.dimensions, tower.dimensions, bias=False)

    def forward(self, content: Tensor, codes: Tensor) -> Tensor:
        return F.normalize(self.skip(content) + self.feed(self.content(content) + self.semantic.full(codes)), dim=-1, eps=1e-6)


class ItemGraph(nn.Module):
    """item.onnx: tokens to codes and vector, so that content, quantiser and tower can never be of different versions."""

    def __init__(self, content: ContentEmbedding, quantizer: ResidualQuantizer, tower: ItemTower) -> None:
        super().__init__()
        self.content, self.quantizer, self.tower = content, quantizer, tower

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        content = self.content(tokens)
        codes = self.quantizer(content)
        return codes, self.tower(content, codes)


class UserTower(nn.Module):
    """user.onnx: history to V unit vectors [B, V, dim], one per global token: a user has several interests."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        tower, encoder = config.towers, config.towers.encoder
        self.vectors = tower.vectors
        self.history = HistoryEmbedding(config.features, config.semantic_ids, encoder, author_dropout=0.5)
        self.encoder = GactEncoder(encoder, config.features.history_max)
        self.head = nn.Sequential(nn.Linear(encoder.width, 2 * encoder.width), nn.GELU(), nn.Linear(2 * encoder.width, tower.dimensions))

    def forward(self, history: dict[str, Tensor]) -> Tensor:
        keep = self.history.author.draw_keep(history["history_mask"].shape[0], history["history_mask"].device)
        tokens, latest = self.history(history, keep)
        _, interests, pooled = self.encoder(tokens, latest, history["history_mask"])
        return F.normalize(self.head(interests[:, :self.vectors] + pooled.unsqueeze(1)), dim=-1, eps=1e-6)
