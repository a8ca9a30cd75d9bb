"""FeedMesh models: content embeddings, semantic IDs, two towers and the ranker, from request rows to ONNX packages."""
