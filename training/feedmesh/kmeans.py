"""Residual k-means: k-means++ seeds, Lloyd's rounds, and a code that loses all its rows moves to the row served worst."""
from __future__ import annotations

import torch
from torch import Tensor

from .progress import Progress


def fit(rows: Tensor, levels: int, codes: int, iterations: int, normalize: bool, seed: int) -> Tensor:
    """rows [N, d] to codebooks [levels, codes, d]. The same rows and seed give the same codebooks."""
    generator = torch.Generator().manual_seed(seed)
    books, progress = [], Progress("k-means", levels)
    for level in range(levels):
        book = lloyd(rows, plus_plus(rows, codes, generator), iterations)
        books.append(book)
        rows = rows - book[nearest(rows, book)[0]]
        if normalize:
            rows = rows / torch.sqrt((rows * rows).sum(-1, keepdim=True) + 1e-6)  # as ResidualQuantizer
        progress.advance(f"level {level + 1}")
    return torch.stack(books)


def nearest(rows: Tensor, book: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest code [N] of each row and the squared distance to it [N]."""
    score = rows @ book.t() - 0.5 * (book * book).sum(-1)
    best, code = score.max(-1)
    return code, torch.clamp((rows * rows).sum(-1) - 2 * best, min=0)


def plus_plus(rows: Tensor, codes: int, generator: torch.Generator) -> Tensor:
    """Each next seed is a row drawn in proportion to its squared distance to the nearest seed so far."""
    chosen = [rows[int(torch.randint(len(rows), (1,), generator=generator))]]
    distance = torch.full((len(rows),), float("inf"), device=rows.device)
    for _ in range(codes - 1):
        distance = torch.minimum(distance, ((rows - chosen[-1]) ** 2).sum(-1))
        total = distance.double().cumsum(0)
        draw = torch.rand(1, generator=generator, dtype=torch.float64).to(rows.device) * total[-1]
        chosen.append(rows[int(torch.searchsorted(total, draw).clamp(max=len(rows) - 1))])
    return torch.stack(chosen)


def lloyd(rows: Tensor, book: Tensor, iterations: int) -> Tensor:
    """Rounds of assignment and means, until nothing moves."""
    assigned = None
    for _ in range(iterations):
        code, distance = nearest(rows, book)
        if assigned is not None and torch.equal(code, assigned):
            break
        assigned = code
        counts = torch.bincount(code, minlength=len(book))
        sums = torch.zeros_like(book).index_add_(0, code, rows)
        book = sums / counts.clamp(min=1).unsqueeze(1)
        dead = torch.nonzero(counts == 0).flatten()
        if len(dead):
            worst = distance.topk(min(len(dead), len(rows))).indices
            book[dead[:len(worst)]] = rows[worst]
    return book
