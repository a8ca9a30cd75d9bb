"""Prints one table and writes it, with how it was made, as JSON and Markdown."""
import json
import math
import platform
from datetime import datetime, timezone
from pathlib import Path

import torch


def text_of(value) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def markdown(title: str, notes: list[str], rows: list[dict]) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[text_of(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(column), *(len(row[i]) for row in cells)) for i, column in enumerate(columns)]
    line = lambda values: "| " + " | ".join(v.ljust(w) if i == 0 else v.rjust(w) for i, (v, w) in enumerate(zip(values, widths))) + " |"
    rule = "|" + "|".join("-" * (w + 1) + ("-" if i == 0 else ":") for i, w in enumerate(widths)) + "|"
    return "\n".join([f"## {title}", "", *[f"- {note}" for note in notes], "", line(columns), rule, *map(line, cells), ""])


def machine() -> str:
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU"
    return f"{platform.machine()}, {torch.get_num_threads()} threads, {device}, PyTorch {torch.__version__}"


def publish(name: str, title: str, notes: list[str], rows: list[dict], out: Path | None, json_file: Path | None = None, extra: dict | None = None) -> None:
    notes = [*notes, f"Made {datetime.now(timezone.utc):%Y-%m-%d} on {machine()}."]
    page = markdown(title, notes, rows)
    print(page)
    clean = lambda value: None if isinstance(value, float) and math.isnan(value) else value
    document = {"name": name, "title": title, "notes": notes, "rows": [{k: clean(v) for k, v in row.items()} for row in rows], **(extra or {})}
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{name}.md").write_text(page)
    for target in filter(None, [json_file, out / f"{name}.json" if out is not None else None]):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(document, indent=1) + "\n")
