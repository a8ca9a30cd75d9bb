"""A small configuration and random inputs that the tests share."""
import dataclasses

import numpy as np
import torch
from torch import Tensor

from feedmesh.config import Config, ContentConfig, EncoderConfig, FeatureConfig, RankerConfig, SemanticIdConfig, TowerConfig

ENCODER = EncoderConfig(token=16, fold=2, width=32, layers=2, heads=2, globals=2, author=8)


def config(fold: int = 2, length: int = 16) -> Config:
    encoder = dataclasses.replace(ENCODER, fold=fold, width=32)
    return Config(
        name="small", features=FeatureConfig(token_buckets=256, tokens_max=8, author_buckets=128, history_max=length),
        content=ContentConfig(dimensions=8), semantic_ids=SemanticIdConfig(levels=3, codes_per_level=8),
        towers=TowerConfig(encoder=encoder, dimensions=12, vectors=2), ranker=RankerConfig(encoder=encoder))


def history(batch: int, length: int, real: int, seed: int = 1) -> dict[str, Tensor]:
    """Random histories of `real` tokens, right-aligned in `length`. The tokens depend on the seed, not on the padding."""
    g = np.random.default_rng(seed)
    codes, authors = g.integers(0, 8, (batch, real, 3)), g.integers(1, 128, (batch, real, 2))
    columns = {
        "history_codes": (codes, -1), "history_authors": (authors, 0), "history_actions": ((g.random((batch, real, 14)) < 0.3).astype(np.float32), 0),
        "history_gaps": (g.integers(0, 32, (batch, real)), 0), "history_surfaces": (g.integers(0, 16, (batch, real)), 0),
        "history_values": (g.random((batch, real)).astype(np.float32), 0), "history_mask": (np.ones((batch, real), dtype=np.float32), 0),
    }
    return {name: torch.from_numpy(np.concatenate([np.full((batch, length - real, *rows.shape[2:]), fill, dtype=rows.dtype), rows], axis=1))
            for name, (rows, fill) in columns.items()}


def candidates(batch: int, count: int, seed: int = 2) -> dict[str, Tensor]:
    """Random candidates, one of which has no author and no codes."""
    g = np.random.default_rng(seed)
    arrays = {
        "candidate_codes": g.integers(0, 8, (batch, count, 3)), "candidate_authors": g.integers(1, 128, (batch, count, 2)),
        "candidate_ages": g.integers(0, 32, (batch, count)), "candidate_dense": g.normal(0, 1, (batch, count, 18)).astype(np.float32),
        "surface": g.integers(0, 16, batch),
    }
    arrays["candidate_codes"][:, -1], arrays["candidate_authors"][:, -1] = -1, 0
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def pick(inputs: dict[str, Tensor], places: list[int]) -> dict[str, Tensor]:
    """Some of the candidates."""
    return {name: value if name == "surface" else value[:, places] for name, value in inputs.items()}
