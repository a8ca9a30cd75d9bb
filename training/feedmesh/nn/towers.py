"""The two towers of retrieval. Their dot product, of unit vectors, is a cosine: larger is closer."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import Config
from .content import ContentEmbedding, ResidualQuantizer
from .embeddings import HistoryEmbedding, SemanticEmbedding
from .gact import GactEncoder


SHORTCUT = 4.0  # how much stronger the short way begins than the item tower's: gates of 0.5 and means of unlike items shrink it


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
    """user.onnx: history to V unit vectors [B, V, dim], one per global token: a user has several interests.

    Beside the encoder runs a short way: V gated means of what the history's codes mean, through the item tower's own first map. It makes an
    untrained tower the mean of the history, which is hard to beat, and leaves the encoder to learn what it adds.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        tower, encoder = config.towers, config.towers.encoder
        self.vectors = tower.vectors
        self.history = HistoryEmbedding(config.features, config.semantic_ids, encoder, tower.author_dropout)
        self.encoder = GactEncoder(encoder, config.features.history_max)
        self.gate = nn.Linear(encoder.token, tower.vectors)   # tanh: what was disliked may count against
        self.shortcut = nn.Linear(encoder.token, tower.dimensions, bias=False)
        nn.init.constant_(self.gate.bias, 0.5)
        self.head = nn.Sequential(nn.Linear(encoder.width, 2 * encoder.width), nn.GELU(), nn.Linear(2 * encoder.width, tower.dimensions))

    def forward(self, history: dict[str, Tensor]) -> Tensor:
        keep = self.history.author.draw_keep(history["history_mask"].shape[0], history["history_mask"].device)
        tokens, latest = self.history(history, keep)
        _, interests, pooled = self.encoder(tokens, latest, history["history_mask"])
        mask = history["history_mask"].unsqueeze(-1)
        gates = torch.tanh(self.gate(tokens)) * mask / (mask.sum(1, keepdim=True) + 1e-6)
        mean = torch.matmul(gates.transpose(1, 2), self.history.semantic.truncated(history["history_codes"]))
        return F.normalize(self.shortcut(mean) + self.head(interests[:, :self.vectors] + pooled.unsqueeze(1)), dim=-1, eps=1e-6)

    @torch.no_grad()
    def start_from(self, item: ItemTower, codebooks: Tensor) -> None:
        """Codes begin with what they mean, in both towers; the short way with the item tower's map from content to vector."""
        for semantic in (self.history.semantic, item.semantic):
            semantic.start_from(codebooks)
        for long_way in (self.head, item.feed):
            long_way[-1].weight.mul_(0.1)
            long_way[-1].bias.zero_()
        if self.shortcut.weight.shape == item.skip.weight.shape:
            scale = codebooks[0].std().item() / self.history.semantic.first.weight[1:].std().item()
            self.shortcut.weight.copy_(item.skip.weight * scale * SHORTCUT)
