"""The ranker: a candidate sees the context and itself; padding, folding and unknown ids behave."""
import dataclasses
import unittest

import numpy as np
import torch

import small
from feedmesh.nn.attention import Attention
from feedmesh.nn.gact import GactEncoder, fold
from feedmesh.nn.ranker import Ranker


class RankerTests(unittest.TestCase):
    def setUp(self) -> None:
        torch.manual_seed(1)
        self.ranker = Ranker(small.config()).eval()
        with torch.no_grad():
            self.ranker.wide_head.weight.normal_(std=0.1)
            self.state = self.ranker.context(small.history(2, 16, 11))
        self.inputs = small.candidates(2, 40)

    def scores(self, inputs: dict) -> torch.Tensor:
        with torch.no_grad():
            return self.ranker.probabilities(self.ranker.candidates(self.state, inputs))

    def test_a_candidate_scores_the_same_alone_among_few_and_among_many(self) -> None:
        full = self.scores(self.inputs)
        for places in ([0, 1], [7, 39], list(range(10))):
            np.testing.assert_allclose(self.scores(small.pick(self.inputs, places)), full[:, places], atol=1e-6, rtol=0)
        np.testing.assert_allclose(self.scores(small.pick(self.inputs, [5])), full[:, [5]], atol=1e-6, rtol=0)

    def test_order_does_not_matter(self) -> None:
        # Within rounding: torch's vector loops treat the last rows of a tensor otherwise. The services' tests ask for equal bits.
        order = list(np.random.default_rng(3).permutation(40))
        np.testing.assert_allclose(self.scores(small.pick(self.inputs, order)), self.scores(self.inputs)[:, order], atol=1e-6, rtol=0)

    def test_another_candidate_changes_nothing(self) -> None:
        changed = {name: value.clone() for name, value in self.inputs.items()}
        changed["candidate_dense"][:, 3] += 5
        changed["candidate_codes"][:, 3] = 7
        others = [i for i in range(40) if i != 3]
        before, after = self.scores(self.inputs), self.scores(changed)
        self.assertTrue(torch.equal(before[:, others], after[:, others]))
        self.assertFalse(torch.allclose(before[:, 3], after[:, 3], atol=1e-4))

    def test_the_history_matters(self) -> None:
        with torch.no_grad():
            other = self.ranker.context(small.history(2, 16, 11, seed=9))
            scores = self.ranker.probabilities(self.ranker.candidates(other, self.inputs))
        self.assertFalse(torch.allclose(scores, self.scores(self.inputs), atol=1e-4))

    def test_longer_padding_changes_nothing(self) -> None:
        wide = Ranker(small.config(length=32)).eval()
        weights = {name: value for name, value in self.ranker.state_dict().items() if name != "encoder.position"}
        wide.load_state_dict(weights, strict=False)
        with torch.no_grad():
            # Rows of positions count from the newest token; those of the longer history begin with the same.
            wide.encoder.position[:8] = self.ranker.encoder.position
            for real in (0, 1, 11, 16):
                near, far = (model.candidates(model.context(small.history(2, length, real)), self.inputs) for model, length in ((self.ranker, 16), (wide, 32)))
                np.testing.assert_allclose(near, far, atol=2e-5)

    def test_an_empty_history_is_finite(self) -> None:
        with torch.no_grad():
            self.assertTrue(torch.isfinite(self.ranker.candidates(self.ranker.context(small.history(2, 16, 0)), self.inputs)).all())

    def test_matches_count_what_was_done_with_the_same_author(self) -> None:
        history = small.history(1, 16, 3)
        inputs = small.pick(small.candidates(1, 40), [0, 39])
        inputs["candidate_authors"][0, 0] = history["history_authors"][0, -1]
        history["history_authors"][0, -2] = history["history_authors"][0, -1]
        history["history_authors"][0, -3] = 0
        history["history_actions"][0] = 1
        with torch.no_grad():
            matches = self.ranker._matches(self.ranker.context(history), inputs["candidate_codes"], inputs["candidate_authors"])
        np.testing.assert_allclose(matches[0, 0, :15], np.log1p(2.0), atol=1e-6)
        self.assertEqual(matches[0, 1, :90].abs().sum().item(), 0, "what is unknown matches nothing, not even what is unknown too")

    def test_attention_equals_a_masked_softmax_over_context_and_self(self) -> None:
        torch.manual_seed(4)
        attention = Attention(32, 2)
        context, own = torch.randn(1, 6, 32), torch.randn(1, 3, 32)
        mask = torch.tensor([[0.0, 0, 1, 1, 1, 1]])
        with torch.no_grad():
            _, k, v = attention.heads_of(context)
            keys, values = attention.keys_values(k, v, mask)
            q, own_k, own_v = attention.heads_of(own)
            fast = attention.attend_and_self(q, own_k, own_v, keys, values)
            logits = torch.cat([(q @ keys).masked_fill(mask[:, None, None] == 0, -torch.inf), (q * own_k).sum(-1, keepdim=True)], dim=-1)
            weights = torch.softmax(logits, dim=-1)
            slow = attention.merge((weights[..., :6] @ v + weights[..., 6:] * own_v).transpose(1, 2).reshape(1, 3, 32))
        np.testing.assert_allclose(fast, slow, atol=1e-5)


class FoldTests(unittest.TestCase):
    def test_fold_puts_neighbours_side_by_side(self) -> None:
        tokens = torch.arange(24.0).reshape(1, 6, 4)
        folded = fold(tokens, 3)
        self.assertEqual(folded.shape, (1, 2, 12))
        self.assertTrue(torch.equal(folded[0, 1], tokens[0, 3:].flatten()))

    def test_fold_of_one_is_plain_attention_by_the_same_code(self) -> None:
        torch.manual_seed(5)
        encoder = GactEncoder(dataclasses.replace(small.ENCODER, fold=1, token=32), 16).eval()
        tokens, mask = torch.randn(2, 16, 32), torch.ones(2, 16)
        with torch.no_grad():
            layers, _, pooled = encoder(tokens, tokens[:, -1:], mask)
            x = torch.cat([encoder.globals.expand(2, -1, -1), encoder.latest(tokens[:, -1:]), tokens + encoder.position.flip(0)], dim=1)
            for block in encoder.blocks:
                x, _, _ = block.context(x, torch.ones(2, x.shape[1]))
        self.assertEqual(layers[0][0].shape[-1], 16 + 2 + 1)
        np.testing.assert_allclose(pooled, encoder.norm(x).mean(1).detach(), atol=1e-5)


if __name__ == "__main__":
    unittest.main()
