"""The public safetensors format: 8 bytes of little-endian header length, a JSON header, then raw tensors without gaps."""
from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

_NAMES = {np.dtype(np.float32): "F32", np.dtype(np.int64): "I64", np.dtype(np.float64): "F64", np.dtype(np.int32): "I32", np.dtype(np.uint8): "U8"}
_TYPES = {name: dtype for dtype, name in _NAMES.items()}


def save(path: str | Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes tensors, wide types first so that each lies aligned to its width. The same input gives the same bytes."""
    header, blobs, position = {}, [], 0
    for name in sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name)):
        array = np.ascontiguousarray(tensors[name])
        blob = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        header[name] = {"dtype": _NAMES[array.dtype], "shape": list(tensors[name].shape), "data_offsets": [position, position + len(blob)]}
        blobs.append(blob)
        position += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(len(text).to_bytes(8, "little") + text + b"".join(blobs))


def load(path: str | Path) -> dict[str, np.ndarray]:
    """Reads what save wrote, and any other file of the types above."""
    data = Path(path).read_bytes()
    size = int.from_bytes(data[:8], "little")
    if size > len(data) - 8:
        raise ValueError(f"{path}: the header claims {size} bytes; {len(data) - 8} follow.")
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        first, end = (8 + size + offset for offset in entry["data_offsets"])
        tensors[name] = np.frombuffer(data[first:end], dtype=_TYPES[entry["dtype"]]).reshape(entry["shape"]).copy()
    return tensors
