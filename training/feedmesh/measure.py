"""What a finished run is worth on other data: python3 -m feedmesh.measure --run OUT --data DIR prints one table, adds it to the card and
writes measure.json.

Against smoothed rates of items and authors, as of each request; and for retrieval against the mean of the history's vectors.
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from . import config as configuration
from . import evaluation, ranker, rows, towers
from .actions import names, weights
from .config import Config
from .run import Run

HISTORY_EDGES = (0, 1, 6, 16, 31, 61)


def measure(run: Run, catalogues: list[rows.Catalogue], config: Config) -> dict:
    """Metrics of the model and of the baseline, over all requests of some data sets, and by data set."""
    models = run.models(content=True, quantizer=True, towers=True, ranker=True)
    logits, labels = ranker.predict(models.ranker, ranker.join(models, catalogues, config))
    with torch.no_grad():
        probabilities, truth = models.ranker.probabilities(logits).cpu().numpy(), labels.cpu().numpy()
    baseline = np.concatenate([evaluation.smoothed_rates(c, config.features.prior_rates) for c in catalogues])
    tokens = np.concatenate([np.repeat((c.history_item > -2).sum(1), np.diff(c.first)) for c in catalogues])
    requests = evaluation.requests_of(catalogues)
    return {
        "data": [c.name for c in catalogues], "requests": sum(c.rows for c in catalogues), "candidates": len(truth),
        "model": evaluation.heads(truth, probabilities, requests, names()), "smoothed_rates": evaluation.heads(truth, baseline, requests, names()),
        "ndcg_at_10": {name: evaluation.page_ndcg(truth, answer, requests, weights()) for name, answer in (("model", probabilities), ("smoothed_rates", baseline))},
        "by_history": by_history(truth, probabilities, requests, tokens), "towers": towers.measure(models, catalogues, config),
    }


def by_history(labels: np.ndarray, probabilities: np.ndarray, requests: np.ndarray, tokens: np.ndarray) -> dict[str, dict[str, float]]:
    """The means over heads for requests of few and of many history tokens [C]: what the model does for whom it hardly knows."""
    report = {}
    for low, high in zip(HISTORY_EDGES, (*HISTORY_EDGES[1:], None)):
        inside = (tokens >= low) & (tokens < (high or np.inf))
        if inside.any():
            name = f"{low} or more" if high is None else str(low) if high == low + 1 else f"{low} to {high - 1}"
            report[name] = {"candidates": int(inside.sum()), **evaluation.summary(evaluation.heads(labels[inside], probabilities[inside], requests[inside], names()))}
    return report


def table(result: dict) -> str:
    """Markdown."""
    model, baseline = result["model"], result["smoothed_rates"]
    lines = [f"{result['requests']:,} requests, {result['candidates']:,} candidates of {', '.join(result['data'])}.", "",
             "| action | rate | AUC | of smoothed rates | AUC within requests | of smoothed rates | normalised entropy | of smoothed rates | ECE |",
             "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for name, head in model.items():
        other = baseline[name]
        lines.append(f"| {name} | {head['rate']:.4f} | {head['auc']:.4f} | {other['auc']:.4f} | {head['gauc']:.4f} | {other['gauc']:.4f} "
                     f"| {head['ne']:.4f} | {other['ne']:.4f} | {head['ece']:.4f} |")
    mean, other = evaluation.summary(model), evaluation.summary(baseline)
    lines.append(f"| mean | | {mean['mean_auc']:.4f} | {other['mean_auc']:.4f} | {mean['mean_gauc']:.4f} | {other['mean_gauc']:.4f} | {mean['mean_ne']:.4f} | {other['mean_ne']:.4f} | {mean['mean_ece']:.4f} |")
    lines += ["", "| history tokens | candidates | mean AUC | mean normalised entropy | mean ECE |", "| --- | --- | --- | --- | --- |"]
    lines += [f"| {name} | {row['candidates']:,} | {row['mean_auc']:.4f} | {row['mean_ne']:.4f} | {row['mean_ece']:.4f} |" for name, row in result["by_history"].items()]
    ndcg = result["ndcg_at_10"]
    lines += ["", "AUC within requests counts pairs of one page only: pages weigh by their positives times their negatives.", "",
              f"- NDCG@10 of pages by the default weights of the actions: {ndcg['model']:.4f}, by smoothed rates {ndcg['smoothed_rates']:.4f}"]
    lines += [f"- {key}: {f'{value:.4f}' if isinstance(value, float) else f'{value:,}'}" for key, value in result["towers"].items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True, type=Path, help="the --out of the training run")
    parser.add_argument("--data", required=True, type=Path, help="data that the run did not train on")
    values = parser.parse_args()
    manifest = json.loads((values.run / "package" / "manifest.json").read_text())
    given = configuration.from_dict(Config, json.loads((values.run / "config.json").read_text()), "config.json")
    # The priors are the trained model's, whatever the new data show.
    run = Run(given, values.data, values.run, tuple(manifest["features"]["prior_rates"]))
    result = measure(run, run.catalogues, run.config)
    seen = already_seen(run.catalogues, manifest["data"])
    if seen:
        print(f"Steps of this model have seen {', '.join(seen)}, by name or content: what follows is no measure of new data.")
    (values.run / "measure.json").write_text(json.dumps({"version": manifest["version"], **result}, indent=1) + "\n")
    print(f"{manifest['version']}: {table(result)}")
    _add_to_card(values.run / "package" / "MODEL_CARD.md", table(result), seen)


def already_seen(catalogues: list[rows.Catalogue], data: dict) -> list[str]:
    """Names of the data sets that training or validation had, by name or by content."""
    known = {*data["training"], *data["validation"]}
    hashes = set(data.get("hashes", {}).values())
    return [c.name for c in catalogues if c.name in known or rows.fingerprint(c) in hashes]


def _add_to_card(path: Path, text: str, seen: list[str]) -> None:
    """The card's last section; the card is no part of the version."""
    start = "\n## On data that "
    heading = start + (f"steps have seen ({', '.join(seen)})" if seen else "no step has seen") + "\n\n"
    path.write_text(path.read_text(encoding="utf-8").split(start)[0] + heading + text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
