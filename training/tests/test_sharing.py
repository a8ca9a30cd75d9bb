"""The ways that benchmarks -- ranker-sharing times are one function."""
import unittest

import torch

from feedmesh.benchmarks import sharing

LENGTH, CANDIDATES = 16, 7


class SharingTests(unittest.TestCase):
    def setUp(self) -> None:
        torch.manual_seed(3)

    def test_every_step_and_the_masked_sequence_give_the_same(self) -> None:
        for folding in (1, 4):
            scorer = sharing.Scorer(LENGTH, folding).eval()
            history, rows = torch.randn(1, LENGTH, sharing.WIDTH // folding), torch.randn(1, CANDIDATES, sharing.WIDTH)
            with torch.no_grad():
                expected = self._masked(scorer, history, rows, folding)
                for name, (attend, transposed, ones) in sharing.STEPS.items():
                    state = sharing.Context(scorer, transposed, ones)(history)
                    difference = (sharing.Candidates(scorer, attend)(*state, rows) - expected).abs().max().item()
                    self.assertLess(difference, 1e-5, f"{name}, folding {folding}")

    def test_int8_is_near_and_gives_a_row_the_same_alone(self) -> None:
        scorer = sharing.Scorer(LENGTH, 4).eval()
        history, rows = torch.randn(1, LENGTH, sharing.WIDTH // 4), torch.randn(1, CANDIDATES, sharing.WIDTH)
        with torch.no_grad():
            state = sharing.Context(scorer, True, True)(history)
            exact = sharing.Candidates(scorer, sharing.ones)(*state, rows)
            int8 = sharing.Candidates(sharing.quantized(scorer, lambda original: sharing.Candidates(original, sharing.ones)(*state, rows)), sharing.ones)
            self.assertLess((int8(*state, rows) - exact).abs().max().item(), 0.02)
            self.assertLess((int8(*state, rows[:, 2:4]) - int8(*state, rows)[:, 2:4]).abs().max().item(), 1e-5)

    @staticmethod
    def _masked(scorer: sharing.Scorer, history: torch.Tensor, rows: torch.Tensor, folding: int) -> torch.Tensor:
        held = sharing.tokens(LENGTH, folding)
        mask = torch.zeros(held + CANDIDATES, held + CANDIDATES)
        mask[:, held:] = -10_000
        mask.fill_diagonal_(0)
        return sharing.Masked(scorer)(history, rows, mask)


if __name__ == "__main__":
    unittest.main()
