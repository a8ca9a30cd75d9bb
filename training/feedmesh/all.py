"""Every step: content, semantic IDs, towers, ranker, export, report: python3 -m feedmesh.all."""
from __future__ import annotations

from . import content, export, ranker, report, semantic_ids, towers
from .run import Run


def train(run: Run) -> str:
    """Returns the version of the package, which lies in out/package."""
    for step in (content, semantic_ids, towers, ranker):
        step.train(run)
    version = export.write(run)
    report.write(run)
    return version


if __name__ == "__main__":
    train(Run.from_arguments(__doc__))
