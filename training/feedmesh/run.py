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
from . import loop, provenance, rows
from .package import Models

STEP_OF = {"content": "content", "semantic_ids": "semantic_ids", "item_tower": "towers", "user_tower": "towers", "ranker": "ranker"}
EARLIER = {"content": (), "semantic_ids": ("content",), "towers": ("content", "semantic_ids"), "ranker": ("content", "semantic_ids")}


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
        given = dataclasses.asdict(run.given)
        del given["features"]["prior_rates"]  # counted in the data
        (run.out / "config.json").write_text(json.dumps(given, indent=2) + "\n")
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

    @cached_property
    def data_hash(self) -> str:
        return provenance.of_text(" ".join(rows.fingerprint(catalogue) for catalogue in self.catalogues))

    def made_from(self, step: str) -> dict[str, str]:
        """Hashes of all that a step's weights follow from: the data, the configuration, and the weights of the steps before it."""
        made = {} if self.priors else {"data": self.data_hash}
        made["configuration"] = provenance.of_text(repr(self.given.of_training()))
        return made | {f"{name}.pt": provenance.of_weights(self._read(name)["weights"]) for name in EARLIER[step]}

    def save(self, name: str, module: torch.nn.Module) -> None:
        weights = {key: value.cpu() for key, value in module.state_dict().items()}
        torch.save({"made_from": self.made_from(STEP_OF[name]), "weights": weights}, self.out / f"{name}.pt")

    def restore(self, name: str, module: torch.nn.Module) -> None:
        """Loads what an earlier step saved, unless it was made from something else than what is given now."""
        saved = self._read(name)
        now = self.made_from(STEP_OF[name])
        if saved["made_from"] is None:
            print(f"{self.out / name}.pt does not say what it was made from; taken as it is.")
        elif (before := {key: value for key, value in saved["made_from"].items() if key in now}) != now:
            raise ValueError(f"{self.out / name}.pt was made from other {provenance.differences(before, now)}: run `python3 -m feedmesh.{STEP_OF[name]}` "
                             "with the same --config, --data and --out again.")
        module.load_state_dict(saved["weights"])
        module.to(loop.device()).eval()

    def _read(self, name: str) -> dict[str, Any]:
        """A step's output; made_from is None where it was written before outputs said so."""
        path = self.out / f"{name}.pt"
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: run `python3 -m feedmesh.{STEP_OF[name]}` with the same --config, --data and --out first.")
        saved = torch.load(path, map_location="cpu")
        return saved if "made_from" in saved else {"made_from": None, "weights": saved}

    def models(self, *, content: bool = False, quantizer: bool = False, towers: bool = False, ranker: bool = False) -> Models:
        """Modules with the weights of the steps that are asked for."""
        models = Models.create(self.config)
        if content:
            self.restore("content", models.item.content)
        if quantizer:
            self.restore("semantic_ids", models.item.quantizer)
        if towers:
            self.restore("item_tower", models.item.tower)
            self.restore("user_tower", models.user)
        if ranker:
            self.restore("ranker", models.ranker)
        return models

    def write_metrics(self, name: str, metrics: dict[str, Any]) -> None:
        (self.out / f"{name}.metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
        print(f"{name}: " + ", ".join(f"{key} {value:.4f}" if isinstance(value, float) else f"{key} {value}" for key, value in metrics.items()
                                      if not isinstance(value, (list, dict))), flush=True)
