"""One JSON file configures every step. Unknown keys are refused, so that a typo is never a silent default."""
from __future__ import annotations

import dataclasses
import json
import typing
from dataclasses import dataclass, field
from pathlib import Path

ACTION_COUNT = 14
GAP_BUCKETS = 32
SURFACE_BUCKETS = 16
DENSE_WIDTH = 4 + ACTION_COUNT


@dataclass(frozen=True)
class FeatureConfig:
    """What turns items and events into integers; written to the manifest, and read from there by the services."""

    token_buckets: int = 8192        # rows of the content table; 0 is padding
    tokens_max: int = 32             # T: tokens of an item
    author_buckets: int = 4096
    history_max: int = 128           # L: tokens of a history
    merge_window_ms: int = 1_800_000
    counter_half_life_hours: float = 72.0  # as IndexUpdater:CounterHalfLifeHours
    prior_rates: tuple[float, ...] = (0.01,) * ACTION_COUNT  # replaced by what the training data show


@dataclass(frozen=True)
class ContentConfig:
    dimensions: int = 32
    steps: int = 1500
    batch: int = 512                 # pairs of items engaged with by one user
    window_hours: float = 24.0
    temperature: float = 0.1
    learning_rate: float = 0.01
    author_dropout: float = 0.7      # an author's token says little to users who never met the author


@dataclass(frozen=True)
class SemanticIdConfig:
    levels: int = 3
    codes_per_level: int = 256
    method: str = "kmeans"           # or "rqvae"
    normalize_residuals: bool = True
    iterations: int = 25
    latent: int = 32                 # rqvae only: width between encoder and decoder
    hidden: int = 64
    steps: int = 1000
    beta: float = 0.25
    ema: float = 0.99


@dataclass(frozen=True)
class EncoderConfig:
    """A GACT encoder: tokens of `token` channels, `fold` of them side by side, projected only where fold * token differs from width."""

    token: int = 32
    fold: int = 2                    # k; 1 is plain attention
    width: int = 64
    layers: int = 2
    heads: int = 4
    globals: int = 4
    widening: int = 2                # feed-forward width / width
    author: int = 16


@dataclass(frozen=True)
class TowerConfig:
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    dimensions: int = 64
    vectors: int = 4                 # V: query vectors of a user
    loss: str = "full"               # or "sampled": in-batch and global negatives with log-Q correction
    negatives: int = 256
    recall_at: int = 300             # reported: the depth that retrieval is asked for
    steps: int = 2000
    batch: int = 64
    learning_rate: float = 2e-3
    author_dropout: float = 0.5
    author_shuffle: float = 0.5      # as the ranker's


@dataclass(frozen=True)
class RankerConfig:
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    steps: int = 4000
    batch: int = 32                  # requests
    learning_rate: float = 2e-3
    dropout: float = 0.1
    author_dropout: float = 0.5
    author_shuffle: float = 0.5      # share of training requests whose author ids are moved around the table


@dataclass(frozen=True)
class Config:
    name: str = "model"
    about_data: str = ""             # what the model card says of where the data come from
    seed: int = 1
    bf16: bool = False               # autocast
    held_out: float = 0.1            # share of each data set's requests, the latest, for validation and calibration
    features: FeatureConfig = field(default_factory=FeatureConfig)
    content: ContentConfig = field(default_factory=ContentConfig)
    semantic_ids: SemanticIdConfig = field(default_factory=SemanticIdConfig)
    towers: TowerConfig = field(default_factory=TowerConfig)
    ranker: RankerConfig = field(default_factory=RankerConfig)

    def of_training(self) -> "Config":
        """All that weights follow from."""
        return dataclasses.replace(self, about_data="")


# Ranges of what is not a whole number from 1 on, or a number above 0: lowest, highest.
RANGES = {
    "seed": (0, 2**31 - 1), "held_out": (0.001, 0.9), "token_buckets": (2, 2**24), "author_buckets": (2, 2**24), "codes_per_level": (2, 2**16),
    "tokens_max": (2, 4096), "history_max": (1, 16_384), "author_dropout": (0, 1), "author_shuffle": (0, 1), "dropout": (0, 0.99), "beta": (0, 1e6),
    "ema": (0, 0.9999), "merge_window_ms": (0, 2**53),
}
CHOICES = {"method": ("kmeans", "rqvae"), "loss": ("full", "sampled")}


def load(path: str | Path) -> Config:
    """Reads a configuration file."""
    values = json.loads(Path(path).read_text(encoding="utf-8"))
    if isinstance(values, dict) and isinstance(values.get("features"), dict) and "prior_rates" in values["features"]:
        raise ValueError(f"{path}: features.prior_rates are counted in the training data: leave them out.")
    config = from_dict(Config, values, str(path))
    check(config)
    return config


def check(config: Config) -> None:
    """Refuses what would fail later with a message that says less; one error names all faults."""
    faults = _faults(config, "") or _faults_across(config)
    if faults:
        raise ValueError("The configuration is refused:\n" + "\n".join(f"- {fault}" for fault in faults))


def _faults(part: typing.Any, prefix: str) -> list[str]:
    """Types and ranges of single values."""
    faults = []
    hints = typing.get_type_hints(type(part))
    for key, kind in hints.items():
        value, name = getattr(part, key), prefix + key
        if dataclasses.is_dataclass(kind):
            faults += _faults(value, f"{name}.") if isinstance(value, kind) else [f"{name} is {value!r}; it must be an object."]
        elif kind in (int, float):
            low, high = RANGES.get(key, (1 if kind is int else 1e-12, 2**31 - 1))
            number = isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool)
            if not number or not low <= value <= high:
                rule = f"{'a whole number' if kind is int else 'a number'} {'above 0' if low == 1e-12 else f'from {low} to {high}'}"
                faults.append(f"{name} is {value!r}; it must be {rule}.")
        elif kind in (bool, str):
            if not isinstance(value, kind):
                faults.append(f"{name} is {value!r}; it must be {'true or false' if kind is bool else 'a text'}.")
            elif value not in CHOICES.get(key, (value,)):
                faults.append(f"{name} is {value}; known are {' and '.join(CHOICES[key])}.")
    return faults


def _faults_across(config: Config) -> list[str]:
    """What does not fit together."""
    faults = []
    for name, encoder in (("towers", config.towers.encoder), ("ranker", config.ranker.encoder)):
        if config.features.history_max % encoder.fold:
            faults.append(f"features.history_max {config.features.history_max} is no multiple of {name}.encoder.fold {encoder.fold}.")
        if encoder.width % encoder.heads:
            faults.append(f"{name}.encoder.width {encoder.width} is no multiple of its {encoder.heads} heads.")
    if len(config.features.prior_rates) != ACTION_COUNT:
        faults.append(f"features.prior_rates has {len(config.features.prior_rates)} entries; there are {ACTION_COUNT} actions.")
    if config.towers.encoder.globals < config.towers.vectors:
        faults.append(f"towers.vectors {config.towers.vectors} needs as many global tokens; there are {config.towers.encoder.globals}.")
    if not config.name or any(character in config.name for character in "/\\\n"):
        faults.append(f"name is {config.name!r}; it must be a text that a folder can be named by.")
    return faults


def from_dict(kind: type, values: dict[str, typing.Any], where: str) -> typing.Any:
    """Builds a nested frozen dataclass from JSON."""
    if not isinstance(values, dict):
        raise ValueError(f"{where} is {values!r}; it must be an object.")
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise ValueError(f"{where}: unknown {', '.join(unknown)}; known are {', '.join(sorted(hints))}.")
    built = {}
    for key, value in values.items():
        if dataclasses.is_dataclass(hints[key]):
            value = from_dict(hints[key], value, f"{where}.{key}")
        elif isinstance(value, list):
            value = tuple(value)
        built[key] = value
    return kind(**built)
