"""A training run: configuration, data and output folder, as every step takes them on its command line."""
from __future__ import annotations

import argparse
import dataclasses
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from . import config as configuration
from . import loop, rows
from .package import Models


@dataclass
class Run:
    """Paths and the configuration as it is in force, priors filled in from the data."""

    given: configuration.Config
    data: Path
    out: Path
    priors: tuple[float, ...] | None = None  # of a finished run, where other data are measured with it

    @staticmethod
    def from_arguments(description: str | None) -> "Run":
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("--config", required=True, type=Path, help="JSON file, e.g. configs/mini.json")
        parser.add_argument("--data", required=True, type=Path, help="folder with items.jsonl and rows.jsonl, or with such folders")
        parser.add_argument("--out", required=True, type=Path, help="folder for checkpoints, report and package; a run that was stopped goes on from it")
        values = parser.parse_args()
        run = Run(configuration.load(values.config), values.data, values.out)
        run.out.mkdir(parents=True, exist_ok=True)
        (run.out / "config.json").write_text(json.dumps(dataclasses.asdict(run.given), indent=2) + "\n")
        loop.warn_if_slow()
        return run

    @cached_property
    def catalogues(self) -> list[rows.Catalogue]:
        return rows.load(self.data, self.given.features, self.out / "cache")

    @cached_property
    def training(self) -> list[rows.Catalogue]:
        return rows.split(self.catalogues, self.given.held_out)[0]

    @cached_property
    def validation(self) -> list[rows.Catalogue]:
        return rows.split(self.catalogues, self.given.held_out)[1]

    @cached_property
    def config(self) -> configuration.Config:
        priors = self.priors or rows.prior_rates(self.training)
        return dataclasses.replace(self.given, features=dataclasses.replace(self.given.features, prior_rates=priors))

    def save(self, name: str, module: torch.nn.Module) -> None:
        torch.save({key: value.cpu() for key, value in module.state_dict().items()}, self.out / f"{name}.pt")

    def restore(self, name: str, module: torch.nn.Module, step: str) -> None:
        """Loads what an earlier step saved."""
        path = self.out / f"{name}.pt"
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: run `python3 -m feedmesh.{step}` with the same --config, --data and --out first.")
        module.load_state_dict(torch.load(path, map_location="cpu"))
        module.to(loop.device()).eval()

    def models(self, *, content: bool = False, quantizer: bool = False, towers: bool = False, ranker: bool = False) -> Models:
        """Modules with the weights of the steps that are asked for."""
        models = Models.create(self.config)
        if content:
            self.restore("content", models.item.content, "content")
        if quantizer:
            self.restore("semantic_ids", models.item.quantizer, "semantic_ids")
        if towers:
            self.restore("item_tower", models.item.tower, "towers")
            self.restore("user_tower", models.user, "towers")
        if ranker:
            self.restore("ranker", models.ranker, "ranker")
        return models

    def write_metrics(self, name: str, metrics: dict[str, Any]) -> None:
        (self.out / f"{name}.metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
        print(f"{name}: " + ", ".join(f"{key} {value:.4f}" if isinstance(value, float) else f"{key} {value}" for key, value in metrics.items()
                                      if not isinstance(value, (list, dict))), flush=True)
