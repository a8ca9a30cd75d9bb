"""A model package: four ONNX graphs, codebooks, golden pairs, manifest and card. The version is a function of the files alone."""
from __future__ import annotations

import dataclasses
import hashlib
import json
import warnings
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from . import safetensors
from .config import ACTION_COUNT, DENSE_WIDTH, GAP_BUCKETS, SURFACE_BUCKETS, Config
from .nn.content import ContentEmbedding, ResidualQuantizer
from .nn.embeddings import HISTORY_INPUTS
from .nn.ranker import CANDIDATE_INPUTS, Ranker
from .nn.towers import ItemGraph, ItemTower, UserTower

OPSET = 17
FORMAT = 1
MARGIN_MIN = 1e-3  # an item whose two nearest codes lie closer is no fair check: rounding may pick either


@dataclass
class Models:
    """Every module of one version."""

    item: ItemGraph
    user: UserTower
    ranker: Ranker

    @staticmethod
    def create(config: Config) -> "Models":
        """Fresh weights, drawn from the configuration's seed."""
        torch.manual_seed(config.seed)
        content = ContentEmbedding(config.features, config.content)
        quantizer = ResidualQuantizer(config.semantic_ids, config.content.dimensions)
        return Models(ItemGraph(content, quantizer, ItemTower(config)), UserTower(config), Ranker(config))

    def eval(self) -> "Models":
        for module in (self.item, self.user, self.ranker):
            module.eval()
        return self


class _UserGraph(nn.Module):
    def __init__(self, tower: UserTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, *history: Tensor) -> Tensor:
        return self.tower(dict(zip(HISTORY_INPUTS, history)))


class _ContextGraph(nn.Module):
    def __init__(self, ranker: Ranker) -> None:
        super().__init__()
        self.ranker = ranker

    def forward(self, *history: Tensor) -> tuple[Tensor, ...]:
        state = self.ranker.context(dict(zip(HISTORY_INPUTS, history)))
        return tuple(state[name] for name in self.ranker.state_names())


class _CandidatesGraph(nn.Module):
    def __init__(self, ranker: Ranker) -> None:
        super().__init__()
        self.ranker = ranker

    def forward(self, *inputs: Tensor) -> Tensor:
        names = self.ranker.state_names()
        state, candidates = dict(zip(names, inputs)), dict(zip(CANDIDATE_INPUTS, inputs[len(names):]))
        return self.ranker.probabilities(self.ranker.candidates(state, candidates))


def write(config: Config, models: Models, out: Path, actions: list[str], data: dict[str, Any], metrics: dict[str, Any], card: str = "") -> str:
    """Writes the package and returns its version."""
    models.eval()
    out.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        check = _export(config, models, out)
    safetensors.save(out / "codebooks.safetensors", {"codebooks": models.item.quantizer.codebooks.cpu().numpy()})
    safetensors.save(out / "check.safetensors", check)

    names = ("candidates.onnx", "check.safetensors", "codebooks.safetensors", "context.onnx", "item.onnx", "user.onnx")
    files = [{"name": name, "bytes": (out / name).stat().st_size, "sha256": hashlib.sha256((out / name).read_bytes()).hexdigest()} for name in names]
    version = f"{config.name}-{hashlib.sha256(''.join(entry['sha256'] for entry in files).encode()).hexdigest()[:8]}"
    manifest = {
        "format": FORMAT, "version": version, "actions": actions,
        "features": {**dataclasses.asdict(config.features), "gap_buckets": GAP_BUCKETS},
        "semantic_ids": {"levels": config.semantic_ids.levels, "codes_per_level": config.semantic_ids.codes_per_level},
        "item": {"dimensions": config.towers.dimensions}, "user": {"vectors": config.towers.vectors},
        "files": files, "data": data, "metrics": metrics,
        "created_at": datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / "MODEL_CARD.md").write_text(card or f"# {config.name}\n\nUntrained weights of the final signature: random scores.\n", encoding="utf-8")
    return version


def _export(config: Config, models: Models, out: Path) -> dict[str, np.ndarray]:
    """Exports the graphs and returns the golden pairs: inputs and PyTorch's outputs of each."""
    generator = np.random.default_rng(config.seed)
    tokens = _check_tokens(config, models.item, generator)
    history, candidates = _check_inputs(config, generator, models.item.quantizer(models.item.content(tokens)))
    check: dict[str, np.ndarray] = {}

    def graph(name: str, module: nn.Module, inputs: dict[str, Tensor], outputs: list[str], wide: tuple[str, ...] = ()) -> tuple[Tensor, ...]:
        module.eval()  # the exporter gives a module back in the mode that it had: a wrapper left in training mode would turn dropout on
        result = module(*inputs.values())
        result = result if isinstance(result, tuple) else (result,)
        first = "items" if name == "item" else "batch"
        axes = {key: {0: first} | ({1: "candidates"} if key in wide else {}) for key in [*inputs, *outputs]}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of shapes that the exporter can not infer; the golden pairs say whether the graph is right
            torch.onnx.export(module, tuple(inputs.values()), str(out / f"{name}.onnx"), input_names=list(inputs), output_names=outputs,
                              dynamic_axes=axes, opset_version=OPSET, do_constant_folding=True)
        check.update({f"{name}.in.{key}": value.numpy() for key, value in inputs.items()})
        check.update({f"{name}.out.{key}": value.numpy() for key, value in zip(outputs, result)})
        return result

    graph("item", models.item, {"tokens": tokens}, ["codes", "vector"])
    graph("user", _UserGraph(models.user), history, ["vectors"])
    names = models.ranker.state_names()
    state = graph("context", _ContextGraph(models.ranker), history, names)
    graph("candidates", _CandidatesGraph(models.ranker), dict(zip(names, state)) | candidates, ["probabilities"],
          wide=(*(name for name in CANDIDATE_INPUTS if name != "surface"), "probabilities"))
    return check


def _check_tokens(config: Config, item: ItemGraph, generator: np.random.Generator, count: int = 6) -> Tensor:
    """Random items [count, T] of every length whose codes are clear."""
    features = config.features
    rows = generator.integers(1, features.token_buckets, (64 * count, features.tokens_max))
    lengths = generator.integers(1, features.tokens_max + 1, len(rows))
    tokens = torch.from_numpy(rows * (np.arange(features.tokens_max) < lengths[:, None]))
    _, margins, _ = item.quantizer.walk(item.quantizer.encoder(item.content(tokens)))
    clear = tokens[margins.min(-1).values > MARGIN_MIN]
    if len(clear) < count:
        raise ValueError(f"Only {len(clear)} of {len(tokens)} random items have codes clearer than {MARGIN_MIN}: the codebooks have collapsed.")
    return clear[:count]


def _check_inputs(config: Config, generator: np.random.Generator, codes: Tensor, count: int = 5) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Two histories, one long and one short, and a few candidates, some of which the histories hold."""
    features, levels, length = config.features, config.semantic_ids.levels, config.features.history_max
    mask = np.zeros((2, length), dtype=np.float32)
    mask[0], mask[1, -3:] = 1, 1
    known = mask[..., None].astype(np.int64)
    picked = codes.numpy()[generator.integers(0, len(codes), (2, length))]
    authors = generator.integers(1, features.author_buckets, (8, 2))
    history = {
        "history_codes": picked * known - (1 - known),
        "history_authors": authors[generator.integers(0, 8, (2, length))] * known,
        "history_actions": ((generator.random((2, length, ACTION_COUNT)) < 0.2) * known).astype(np.float32),
        "history_gaps": np.sort(generator.integers(0, GAP_BUCKETS, (2, length)))[:, ::-1] * known[..., 0],
        "history_surfaces": generator.integers(0, SURFACE_BUCKETS, (2, length)) * known[..., 0],
        "history_values": (generator.random((2, length)) * mask).astype(np.float32),
        "history_mask": mask,
    }
    candidates = {
        "candidate_codes": np.concatenate([codes.numpy()[generator.integers(0, len(codes), (2, count - 1))], np.full((2, 1, levels), -1)], axis=1),
        "candidate_authors": np.concatenate([authors[generator.integers(0, 8, (2, count - 1))], np.zeros((2, 1, 2), dtype=np.int64)], axis=1),
        "candidate_ages": generator.integers(0, GAP_BUCKETS, (2, count)),
        "candidate_dense": generator.normal(0, 0.7, (2, count, DENSE_WIDTH)).astype(np.float32),
        "surface": np.array([0, 5]),
    }
    return _tensors(history), _tensors(candidates)


def _tensors(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
