"""Features: the golden file is what features.py computes, and the batched form equals the one of a single candidate."""
import json
import unittest
from pathlib import Path

import numpy as np

from feedmesh import features as f
from feedmesh import golden
from feedmesh.config import FeatureConfig

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "Mesh.Inference.Tests" / "golden" / "features.json"


class FeatureTests(unittest.TestCase):
    def test_golden_file_is_what_the_features_are(self) -> None:
        self.assertEqual(json.loads(GOLDEN.read_text(encoding="utf-8")), json.loads(json.dumps(golden.cases())))

    def test_hash_equals_the_published_fnv_and_splitmix_values(self) -> None:
        # SplitMix64's first output for seed 0, and FNV-1a's offset basis through it for the empty text.
        self.assertEqual(f.mix(0), 0xE220A8397B1DCDAF)
        self.assertEqual(f.stable_hash(""), f.mix(14695981039346656037))

    def test_an_event_joins_its_items_token_within_the_window_only(self) -> None:
        window = FeatureConfig().merge_window_ms
        tokens = f.history_tokens(["x", "y", "x", "x"], [7, 7, 0, 10], [0, 1, window, window + 1], [0.0] * 4, [""] * 4, FeatureConfig())
        self.assertEqual(tokens["items"], ["x", "y", "x"])
        self.assertEqual(tokens["actions"].sum(1).tolist(), [2, 1, 1])

    def test_dense_of_a_batch_equals_dense_of_each(self) -> None:
        generator, prior = np.random.default_rng(1), FeatureConfig(prior_rates=(0.05,) * 14).prior_rates
        counts = generator.gamma(0.5, 40, (50, 15)).astype(np.float32)
        counts[0], counts[1, 3], counts[2, 5] = 0, np.nan, -7
        network, duration = generator.random(50) < 0.5, generator.integers(-5, 90_000, 50)
        batch = f.dense_batch(network, duration, counts, prior)
        for i in range(50):
            single = f.candidate_dense(bool(network[i]), int(duration[i]), counts[i].tolist(), 0, 0, 72.0, prior)
            np.testing.assert_allclose(batch[i], single, rtol=1e-5, atol=1e-6)
        self.assertTrue(np.isfinite(batch).all())

    def test_padding_stands_in_front(self) -> None:
        aligned = f.align_right(np.array([1, 2]), 4, -1)
        self.assertEqual(aligned.tolist(), [-1, -1, 1, 2])


if __name__ == "__main__":
    unittest.main()
