"""Next-item models over one catalogue: an item encoder, causal blocks, and the same item vectors as the output layer."""
from dataclasses import asdict, dataclass

import torch
from torch import nn

from .layers import AttentionBlock, Dropout, GatedBlock, catalogue_cross_entropy


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a model. `items` without the padding item 0; `levels` is 0 for a model that knows item ids only."""
    items: int
    dim: int = 64
    blocks: int = 2
    heads: int = 2
    block: str = "attention"
    dropout: float = 0.2
    length: int = 200
    item_ids: bool = True
    semantic_ids: bool = False
    actions: int = 0
    item_id_dropout: float = 0.0

    def describe(self) -> dict:
        return asdict(self)


class ItemEncoder(nn.Module):
    """Item vectors: the sum of an embedding per semantic-ID prefix and, by option, an embedding of the item id itself.

    `tokens` holds per item its prefixes of 1, 2 (the bigram of long histories) and 3 levels, its collision token and its own id; 0 where
    a prefix or id has too few events behind it to be learned. Finer tables start smaller, so what is hardly trained stays close to
    the meaning of the coarse prefix.
    """

    def __init__(self, config: ModelConfig, tokens: torch.Tensor | None):
        super().__init__()
        self.config = config
        if config.item_ids:
            self.ids = nn.Embedding(config.items + 1, config.dim, padding_idx=0)
            nn.init.normal_(self.ids.weight, std=0.02)
        if config.semantic_ids:
            self.register_buffer("tokens", tokens)
            self.tables = nn.ModuleList(nn.Embedding(int(column.max()) + 1, config.dim, padding_idx=0) for column in tokens[:, :-1].t())
            for level, table in enumerate(self.tables):
                nn.init.normal_(table.weight, std=0.02 / (level + 1))
                nn.init.zeros_(table.weight[0])

    def forward(self) -> torch.Tensor:
        """Vectors of all items, [items + 1, dim]; row 0 is padding."""
        if not self.config.semantic_ids:
            return self.ids.weight
        vectors = sum(table(self.tokens[:, column]) for column, table in enumerate(self.tables))
        if self.config.item_ids:
            kept = (self.tokens[:, -1:] > 0).to(vectors.dtype)
            if self.training and self.config.item_id_dropout:
                kept = kept * (torch.rand(len(kept), 1, device=kept.device) >= self.config.item_id_dropout)
            vectors = vectors + self.ids.weight * kept
        return vectors


class SequenceModel(nn.Module):
    def __init__(self, config: ModelConfig, tokens: torch.Tensor | None = None):
        super().__init__()
        self.config = config
        self.items = ItemEncoder(config, tokens)
        self.positions = nn.Parameter(torch.randn(config.length, config.dim) * 0.02)
        if config.actions:
            self.actions = nn.Embedding(config.actions, config.dim)
            nn.init.normal_(self.actions.weight, std=0.02)
        block = {"attention": AttentionBlock, "gated": GatedBlock}[config.block]
        self.blocks = nn.ModuleList(block(config.dim, config.heads, 4 * config.dim, config.dropout, config.length) for _ in range(config.blocks))
        self.dropout, self.norm = Dropout(config.dropout), nn.LayerNorm(config.dim)

    def encode(self, vectors: torch.Tensor, items: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """State after each event, [batch, length, dim]. Events come left-aligned; padding behind them changes no earlier state."""
        x = vectors[items] * self.config.dim ** 0.5 + self.positions[: items.shape[1]]
        if self.config.actions:
            x = x + self.actions(actions)
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def loss(self, items: torch.Tensor, actions: torch.Tensor, targets: torch.Tensor, places: torch.Tensor | None = None) -> torch.Tensor:
        """Cross entropy of every next item (targets, 0 = none) over the full catalogue.

        `places` [items + 1] says where each item stands in the catalogue of training time, -1 for those that are not in it: they are
        neither targets nor negatives.
        """
        vectors = self.items()
        states = self.encode(vectors, items, actions)
        if places is None:
            known = targets > 0
            return catalogue_cross_entropy(states[known], vectors, targets[known])
        targets = places[targets]
        known = targets > 0
        return catalogue_cross_entropy(states[known], vectors[places >= 0], targets[known])

    def scores(self, items: torch.Tensor, actions: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Scores of all items after the last event of each row, [batch, items + 1]; the padding item scores -inf."""
        vectors = self.items()
        states = self.encode(vectors, items, actions)[torch.arange(len(items), device=items.device), lengths - 1]
        # In bfloat16 logits near 10 come in steps of 1/16, and equal scores count against the target.
        with torch.autocast(states.device.type, enabled=False):
            scores = states.float() @ vectors.float().t()
        scores[:, 0] = float("-inf")
        return scores
