"""What a step's output was made from, as hashes: so that no step goes on with what came of other data, another configuration or other earlier steps."""
from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np
from torch import Tensor


def of_arrays(arrays: Iterable[tuple[str, np.ndarray]]) -> str:
    """Hash of named arrays: their order, names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, array in arrays:
        digest.update(f"{name} {array.dtype} {array.shape};".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def of_weights(weights: Mapping[str, Tensor]) -> str:
    """Hash of a module's weights."""
    return of_arrays((name, value.detach().float().cpu().numpy()) for name, value in weights.items())


def of_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def differences(before: Mapping[str, str] | None, now: Mapping[str, str]) -> str:
    """Names of what differs, for a message."""
    if before is None:
        return "(unknown) data"
    return " and ".join(sorted(name for name in {*before, *now} if before.get(name) != now.get(name)))
