"""Step 6: report.md with plots, from what the other steps wrote: python3 -m feedmesh.report."""
from __future__ import annotations

import json
from typing import Any

import numpy as np

from .run import Run

LOSSES = ("content", "rqvae", "towers", "ranker")


def write(run: Run) -> None:
    """Writes out/report.md, and the plots beside it where matplotlib is installed."""
    metrics = {path.name.removesuffix(".metrics.json"): json.loads(path.read_text()) for path in sorted(run.out.glob("*.metrics.json"))}
    plots = _plots(run, metrics)
    lines = [f"# Training report: {run.config.name}", "", f"Data: {run.data}; {len(run.training)} data sets to train on, {len(run.validation)} held out.", ""]
    for step, values in metrics.items():
        lines += [f"## {step}", "", "| measure | value |", "| --- | --- |", *_rows(values), ""]
        if "heads" in values:
            lines += ["| action | rate | AUC | AUC within requests | normalised entropy | ECE |", "| --- | --- | --- | --- | --- | --- |"]
            lines += [f"| {name} | {h['rate']:.4f} | {h['auc']:.4f} | {h['gauc']:.4f} | {h['ne']:.4f} | {h['ece']:.4f} |" for name, h in values["heads"].items()] + [""]
    lines += [f"![{name}]({name}.png)" for name in plots]
    (run.out / "report.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"report: {run.out / 'report.md'}")


def _rows(values: dict[str, Any], prefix: str = "") -> list[str]:
    rows = []
    for key, value in values.items():
        if key in ("use", "heads"):
            continue
        if isinstance(value, dict):
            rows += _rows(value, f"{prefix}{key} ")
        else:
            rows.append(f"| {prefix}{key} | {f'{value:.4f}' if isinstance(value, float) else value} |")
    return rows


def _plots(run: Run, metrics: dict[str, Any]) -> list[str]:
    try:
        import matplotlib
    except ImportError:
        print("report: no plots, as matplotlib is missing. Debian: apt-get install python3-matplotlib.")
        return []
    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawn = []

    def save(name: str) -> None:
        pyplot.legend()
        pyplot.tight_layout()
        pyplot.savefig(run.out / f"{name}.png", dpi=90)
        pyplot.close()
        drawn.append(name)

    for step in LOSSES:
        path = run.out / f"{step}.losses.json"
        if not path.exists():
            continue
        losses = np.array(json.loads(path.read_text()))
        window = max(1, len(losses) // 50)
        pyplot.figure(figsize=(6, 3.5))
        pyplot.plot(np.convolve(losses, np.ones(window) / window, "valid"), label=f"{step} loss, mean of {window} steps")
        pyplot.xlabel("step")
        save(f"loss-{step}")
    if "semantic_ids" in metrics:
        pyplot.figure(figsize=(6, 3.5))
        for level, use in enumerate(metrics["semantic_ids"]["use"], start=1):
            pyplot.plot(use, label=f"level {level}")
        pyplot.xlabel("code, by use")
        pyplot.ylabel("share of items")
        save("codebook-use")
    if "ranker" in metrics:
        pyplot.figure(figsize=(5, 5))
        for name, head in metrics["ranker"]["heads"].items():
            pyplot.plot(*zip(*head["curve"]), marker=".", label=name)
        pyplot.plot([1e-4, 1], [1e-4, 1], "k:", label="calibrated")
        pyplot.xscale("log")
        pyplot.yscale("log")
        pyplot.xlabel("predicted")
        pyplot.ylabel("observed on held-out requests")
        save("calibration")
    return drawn


if __name__ == "__main__":
    write(Run.from_arguments(__doc__))
