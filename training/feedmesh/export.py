"""Step 5: the package of ONNX graphs, in out/package: python3 -m feedmesh.export."""
from __future__ import annotations

import json

from . import package, rows
from .actions import names
from .run import Run

STEPS = ("content", "semantic_ids", "towers", "ranker")


def write(run: Run) -> str:
    """Exports what the other steps saved and returns the version."""
    models = run.models(content=True, quantizer=True, towers=True, ranker=True)
    for module in (models.item, models.user, models.ranker):
        module.cpu()
    metrics = {step: json.loads((run.out / f"{step}.metrics.json").read_text()) for step in STEPS}
    data = {
        "training": [c.name for c in run.training], "validation": [c.name for c in run.validation],
        "requests": sum(c.rows for c in run.training), "candidates": sum(len(c.item) for c in run.training),
        "items": sum(len(c.item_created_ms) for c in run.training), "gone": sum(c.gone for c in run.catalogues),
        "hashes": {c.name: rows.fingerprint(c) for c in run.catalogues},
    }
    version = package.write(run.config, models, run.out / "package", names(), data, _short(metrics), card(run, data, metrics))
    print(f"export: {version} in {run.out / 'package'}")
    return version


def _short(metrics: dict) -> dict:
    """Numbers only: curves and code-book use stay in the report."""
    return {step: {key: round(value, 5) if isinstance(value, float) else value for key, value in values.items() if not isinstance(value, (list, dict))}
            for step, values in metrics.items()}


def card(run: Run, data: dict, metrics: dict) -> str:
    """MODEL_CARD.md."""
    ranker, towers, ids = metrics["ranker"], metrics["towers"], metrics["semantic_ids"]
    encoder, depth = run.config.ranker.encoder, run.config.towers.recall_at
    heads = "\n".join(f"| {name} | {head['rate']:.4f} | {head['auc']:.3f} | {head['gauc']:.3f} | {head['ne']:.3f} | {head['ece']:.4f} |" for name, head in ranker["heads"].items())
    new = ("users, authors and items that training never saw" if rows.held_out_whole(run.catalogues)
           else "the latest requests of each, of users and items that training saw too")
    gone = f" Left out were {data['gone']:,} candidates whose items the data no longer hold." if data["gone"] else ""
    about = run.config.about_data or "Nothing is said of where its data come from (`about_data` in the configuration)."
    return f"""# {run.config.name}

Two towers, semantic IDs and a ranker with {len(ranker['heads'])} heads, trained on {data['requests']:,} requests with {data['candidates']:,} candidates over
{data['items']:,} items of {len(data['training'])} data sets. Validated on {', '.join(data['validation'])}: {new}.{gone}

- History of {run.config.features.history_max} tokens, folded by {encoder.fold} to width {encoder.width}; {encoder.layers} layers, {encoder.heads} heads, {encoder.globals} global tokens.
- Semantic IDs: {run.config.semantic_ids.levels} x {run.config.semantic_ids.codes_per_level} by {run.config.semantic_ids.method}; collision rate {ids['collision_rate']:.3f}.
- Retrieval: {run.config.towers.vectors} query vectors of {run.config.towers.dimensions} dimensions; recall@{depth} of {towers.get('requests', 0):,} requests is
  {towers.get(f'recall_at_{depth}', float('nan')):.3f}, mean of history
  {towers.get(f'recall_at_{depth}_mean_of_history', float('nan')):.3f}, chance {towers.get(f'recall_at_{depth}_chance', float('nan')):.3f}.

Every second request held out for validation calibrated the heads; the others gave this table. AUC within requests counts pairs of one page
only, so that pages weigh by their positives times their negatives. Pages ordered by the mesh's default weights of the actions have an
NDCG@10 of {ranker['ndcg_at_10']:.3f}, where a candidate gains the weights of what was done with it.

| action | rate | AUC | AUC within requests | normalised entropy | ECE |
| --- | --- | --- | --- | --- | --- |
{heads}

{about}
The version is a function of the files' content. Calibration holds for the logging policy of the training rows.
"""


if __name__ == "__main__":
    write(Run.from_arguments(__doc__))
