"""FeedMesh models: content embeddings, semantic IDs, two towers and the ranker, from request rows to ONNX packages."""
import importlib.util
import sys

if importlib.util.find_spec("torch") is None:
    print(f"feedmesh: {sys.executable} has no torch, so only fetch and golden can run. "
          "Debian: apt-get install python3-torch python3-numpy libopenblas0-openmp, and use /usr/bin/python3.", file=sys.stderr)
