"""Batches of requests: history inputs by looking codes and authors up at the items of the history."""
from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from . import features as f
from . import loop, rows
from .config import Config
from .nn.towers import ItemGraph


class Joined:
    """A data set with the semantic IDs of one version. Row I of the tables stands for items that are unknown."""

    def __init__(self, catalogue: rows.Catalogue, codes: np.ndarray, config: Config) -> None:
        self.catalogue, self._config = catalogue, config
        unknown = np.full((1, codes.shape[1]), -1)
        self.codes = np.concatenate([codes, unknown]).astype(np.int64)
        self.authors = np.concatenate([catalogue.item_authors, np.zeros((1, 2))]).astype(np.int64)

    def history(self, requests: np.ndarray) -> dict[str, np.ndarray]:
        """The graphs' history inputs of some requests."""
        c = self.catalogue
        item = c.history_item[requests]
        actions = rows.bits_to_rows(c.history_actions[requests])
        return {
            "history_codes": self.codes[np.maximum(item, -1)], "history_authors": self.authors[np.maximum(item, -1)], "history_actions": actions,
            "history_gaps": c.history_gap[requests].astype(np.int64), "history_surfaces": c.history_surface[requests].astype(np.int64),
            "history_values": c.history_value[requests], "history_mask": (item > -2).astype(np.float32),
        }

    def candidates(self, requests: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        """Candidate inputs and places padded to the longest page, labels [B, N, 14], and which places are candidates [B, N]."""
        c = self.catalogue
        counts = (c.first[requests + 1] - c.first[requests])
        place = np.arange(counts.max())[None, :]
        real = place < counts[:, None]
        at = np.where(real, c.first[requests][:, None] + place, 0)
        item = np.where(real, c.item[at], -1)
        flat, now = at.reshape(-1), np.repeat(c.row_time_ms[requests], at.shape[1])
        dense = f.dense_batch(c.in_network[flat], c.item_duration_ms[c.item[flat]], c.counts[flat], self._config.features.prior_rates)
        seconds = np.maximum(0, now - c.item_created_ms[c.item[flat]]) // 1000
        inputs = {
            "candidate_codes": self.codes[item], "candidate_authors": self.authors[item],
            "candidate_ages": np.minimum(31, np.frexp(seconds.astype(np.float64))[1]).reshape(at.shape).astype(np.int64) * real,
            "candidate_dense": dense.reshape(*at.shape, -1) * real[..., None].astype(np.float32),
            "surface": c.row_surface[requests].astype(np.int64), "candidate_places": c.place[at].astype(np.int64) * real,
        }
        return inputs, rows.bits_to_rows(c.labels[at]), real


def to_tensors(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """Arrays as tensors on the training device."""
    return {name: torch.from_numpy(np.ascontiguousarray(array)).to(loop.device()) for name, array in arrays.items()}


@torch.no_grad()
def encode_items(item: ItemGraph, catalogue: rows.Catalogue) -> tuple[np.ndarray, Tensor]:
    """Codes [I, levels] and content [I, content] of a catalogue."""
    content = item.content(torch.from_numpy(catalogue.item_tokens).long().to(loop.device()))
    return item.quantizer(content).cpu().numpy(), content


def shuffle_authors(arrays: dict[str, Tensor], share: float, buckets: int) -> None:
    """Moves the author ids of some requests around the table, each request by its own distance, in place. What is left to learn
    is which of them are equal: right for ids that the next request may not know."""
    history = arrays["history_authors"]
    batch = history.shape[0]
    moved = torch.randint(0, buckets - 1, (batch, 1, 1), device=history.device) * (torch.rand(batch, 1, 1, device=history.device) < share)
    for name in ("history_authors", "candidate_authors"):
        if name in arrays:
            ids = arrays[name]
            arrays[name] = torch.where(ids > 0, (ids - 1 + moved) % (buckets - 1) + 1, ids)
