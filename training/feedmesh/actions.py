"""Action names, in the order of every 14-wide vector: read from the contracts, never written down twice."""
from __future__ import annotations

import json
from pathlib import Path

CONTRACT = Path(__file__).resolve().parents[2] / "contracts" / "actions.json"


def names() -> list[str]:
    """The 14 names."""
    return [action["name"] for action in json.loads(CONTRACT.read_text(encoding="utf-8"))["actions"]]


def weights() -> list[float]:
    """What each of them counts by default when a page is ordered."""
    return [float(action["weight"]) for action in json.loads(CONTRACT.read_text(encoding="utf-8"))["actions"]]
