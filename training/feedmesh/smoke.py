"""Trains a tiny model on toy worlds in about a minute, and fails unless it learnt: python3 -m feedmesh.smoke --out DIR.

The last line is JSON: what was lost before and after, and where the package lies. A test of the services loads that package.
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path

from . import all as every_step
from . import config, loop, toy
from .config import Config, ContentConfig, EncoderConfig, FeatureConfig, RankerConfig, SemanticIdConfig, TowerConfig
from .run import Run

ENCODER = EncoderConfig(token=16, fold=2, width=32, layers=1, heads=2, globals=2, author=8)
CONFIG = Config(
    name="smoke", about_data="Trained on toy worlds, it is of no use but to tests.", seed=3, held_out=0.2,
    features=FeatureConfig(token_buckets=1024, tokens_max=16, author_buckets=512, history_max=32),
    content=ContentConfig(dimensions=16, steps=200, batch=128),
    semantic_ids=SemanticIdConfig(levels=3, codes_per_level=16, iterations=10),
    towers=TowerConfig(encoder=ENCODER, dimensions=16, vectors=2, recall_at=50, steps=150, batch=32, learning_rate=3e-3, author_shuffle=1.0),
    ranker=RankerConfig(encoder=ENCODER, steps=700, batch=16, learning_rate=3e-3, author_shuffle=1.0),
)
WORLDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, type=Path, help="a new or empty folder")
    out = parser.parse_args().out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SystemExit(f"{out} is not an empty folder: what lies there would be taken for finished steps. Give another.")
    loop.warn_if_slow()
    config.check(CONFIG)
    for world in range(1, WORLDS + 1):
        toy.write(out / "data" / f"world-{world}", seed=world)
    run = Run(CONFIG, out / "data", out)
    version = every_step.train(run)
    ranker, towers = (json.loads((out / f"{step}.metrics.json").read_text()) for step in ("ranker", "towers"))
    constant = ranker["constant_loss"]
    recall = next(key for key in towers if key.startswith("recall"))
    result = {
        "version": version, "package": str((out / "package").resolve()), "ranker_loss": ranker["held_out_loss"], "constant_loss": constant,
        "tower_recall": towers[recall], "chance_recall": towers[f"{recall}_chance"],
    }
    print(json.dumps(result))
    if not result["ranker_loss"] < 0.96 * constant:
        raise SystemExit(f"The ranker's loss {result['ranker_loss']:.4f} is not clearly below the constant's {constant:.4f}.")
    if not result["tower_recall"] > 1.3 * result["chance_recall"]:
        raise SystemExit(f"Recall {result['tower_recall']:.3f} is not clearly above chance {result['chance_recall']:.3f}.")


if __name__ == "__main__":
    main()
