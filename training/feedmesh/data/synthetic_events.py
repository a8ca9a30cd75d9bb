"""Writes a small made-up events.tsv whose next item can be learnt: python3 -m feedmesh.data.synthetic_events FILE [--users 200 --items 60 --seed 1]."""
import argparse
from pathlib import Path

import numpy as np


def write(path: Path, users: int = 200, items: int = 60, seed: int = 1) -> None:
    """Each user walks 8 to 20 steps along a ring of items, mostly to the next one; some events share a moment."""
    random = np.random.default_rng(seed)
    lines = ["user\titem\ttime\taction"]
    for user in range(users):
        place, time = int(random.integers(items)), 1_700_000_000 + int(random.integers(1_000_000))
        for _ in range(int(random.integers(8, 21))):
            lines.append(f"u{user}\ti{place}\t{time}\t{random.choice(['click', 'like'])}")
            place = (place + (1 if random.random() < 0.9 else int(random.integers(1, items)))) % items
            time += int(random.integers(0, 3)) * 60
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--items", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    write(options.file, options.users, options.items, options.seed)
