"""Graphs that the C# benchmarks time. The modules are those that are exported for serving."""
