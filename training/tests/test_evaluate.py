"""Evaluation: metrics against slow references, ties, leakage, and the protocol on made-up data."""
import contextlib
import io
import json
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch.nn import functional as F

from feedmesh.config import FeatureConfig
from feedmesh.data import kuairand, synthetic_events
from feedmesh.data.sequences import Sequences, load_events
from feedmesh.evaluate import __main__ as command
from feedmesh.evaluate import gact_task, next_item
from feedmesh.evaluate.kuairand_task import Rates, item_number_codes, logistic
from feedmesh.evaluate.layers import AttentionBlock, GatedBlock, catalogue_cross_entropy, fast_dropout
from feedmesh.evaluate.metrics import auc, auc_within, calibration_error, ndcg_within, ranking_metrics, reliability, target_ranks
from feedmesh.evaluate.next_item import TrainingConfig, full_ranking, training_batches
from feedmesh.evaluate.next_item_tasks import chance, hide_items, popularity, run_events, tokens_of
from feedmesh.evaluate.semantic import item_tokens, semantic_ids
from feedmesh.evaluate.sequence_model import ModelConfig, SequenceModel


def random_sequences(users: int = 30, items: int = 50, seed: int = 1) -> Sequences:
    """Histories of 5 to 40 different items each."""
    g = np.random.default_rng(seed)
    parts = [g.permutation(items)[: g.integers(5, 41)] + 1 for _ in range(users)]
    starts = np.concatenate([[0], np.cumsum([len(p) for p in parts])])
    return Sequences(np.concatenate(parts), g.integers(1, 4, starts[-1]), starts, items)


def replace_repeats(sequences: Sequences) -> Sequences:
    """The same with one more user who repeats an item, so that nothing leaves the ranking."""
    return Sequences(np.append(sequences.items, [1, 2, 1]), np.append(sequences.actions, [1, 1, 1]), np.append(sequences.starts, sequences.starts[-1] + 3), sequences.item_count)


class MetricTests(unittest.TestCase):
    def test_ranks_equal_a_full_sort_that_puts_the_target_last_among_equals(self) -> None:
        g = np.random.default_rng(1)
        scores, targets = g.integers(0, 6, (200, 30)).astype(float), g.integers(0, 30, 200)
        for row, target, rank in zip(scores, targets, target_ranks(scores, targets)):
            order = sorted(range(30), key=lambda i: (-row[i], i == target))
            self.assertEqual(order.index(target), rank)

    def test_a_model_that_scores_all_alike_hits_nothing(self) -> None:
        ranks = target_ranks(np.zeros((5, 300)), np.arange(5))
        self.assertEqual(ranking_metrics(ranks)["HR@200"], 0.0)

    def test_a_score_that_is_no_number_ranks_last(self) -> None:
        self.assertEqual(target_ranks(np.array([[1.0, np.nan, 0.5]]), np.array([1]))[0], 2)

    def test_ranking_metrics_follow_their_formulas(self) -> None:
        found = ranking_metrics(np.array([0, 9, 10, 199]))
        self.assertEqual((found["HR@10"], found["HR@50"], found["HR@200"]), (0.5, 0.75, 1.0))
        self.assertAlmostEqual(found["NDCG@10"], (1 + 1 / np.log2(11)) / 4)

    def test_auc_equals_counting_all_pairs(self) -> None:
        g = np.random.default_rng(2)
        labels, scores = g.random(120) < 0.3, g.integers(0, 10, 120)
        pairs = [(p > n) + 0.5 * (p == n) for p in scores[labels] for n in scores[~labels]]
        self.assertAlmostEqual(auc(labels, scores), np.mean(pairs))

    def test_auc_within_requests_equals_counting_pairs_of_each(self) -> None:
        g = np.random.default_rng(3)
        labels, scores, groups = g.random(300) < 0.3, g.integers(0, 6, 300).astype(float), g.integers(0, 40, 300)
        pairs = [(p > n) + 0.5 * (p == n) for group in range(40) for p in scores[labels & (groups == group)] for n in scores[~labels & (groups == group)]]
        self.assertAlmostEqual(auc_within(labels, scores, groups), np.mean(pairs))
        self.assertTrue(np.isnan(auc_within(np.array([1, 0]), np.array([1.0, 2.0]), np.array([0, 1]))))

    def test_ndcg_of_pages_equals_sorting_each(self) -> None:
        g = np.random.default_rng(4)
        gains, scores, groups = np.maximum(0, g.integers(-2, 4, 400)).astype(float), g.integers(0, 30, 400).astype(float), g.integers(0, 20, 400)
        discounts, expected = 1 / np.log2(np.arange(10) + 2), []
        for group in range(20):
            mine = np.flatnonzero(groups == group)
            ranked, best = sorted(mine, key=lambda i: (-scores[i], gains[i]))[:10], sorted(gains[mine])[::-1][:10]
            expected.append((gains[ranked] * discounts[:len(ranked)]).sum() / (best * discounts[:len(best)]).sum())
        self.assertAlmostEqual(ndcg_within(gains, scores, groups), np.mean(expected))
        self.assertLess(ndcg_within(np.array([0.0, 0, 1]), np.zeros(3), np.zeros(3, dtype=int)), 0.51, "equal scores win nothing")

    def test_scores_that_are_not_finite_are_refused(self) -> None:
        for bad in (np.nan, np.inf):
            with self.assertRaisesRegex(ValueError, "1 of 3 scores are not finite"):
                auc(np.array([1, 0, 1]), np.array([0.1, bad, 0.3]))
        with self.assertRaisesRegex(ValueError, "probabilities are not finite"):
            calibration_error(np.array([1.0, 0]), np.array([np.nan, 0.5]))

    def test_calibration_error_does_not_depend_on_the_order_of_equal_predictions(self) -> None:
        labels, probabilities = np.repeat([1.0, 0.0], 500), np.full(1000, 0.5)
        self.assertAlmostEqual(calibration_error(labels, probabilities), 0.0)
        g = np.random.default_rng(5)
        labels, probabilities = (g.random(999) < 0.4).astype(float), g.integers(0, 7, 999) / 7
        shuffled = g.permutation(999)
        self.assertAlmostEqual(calibration_error(labels, probabilities), calibration_error(labels[shuffled], probabilities[shuffled]), places=12)
        self.assertEqual(sum(size for *_, size in reliability(labels, probabilities)), 999)

    def test_calibration_error_is_the_gap_between_prediction_and_rate(self) -> None:
        labels = np.tile([1.0, 0.0], 500)
        self.assertAlmostEqual(calibration_error(labels, np.full(1000, 0.8)), 0.3, places=6)


class LayerTests(unittest.TestCase):
    def test_chunked_cross_entropy_and_its_gradients_equal_torch(self) -> None:
        torch.manual_seed(1)
        hidden, items, targets = torch.randn(70, 16, requires_grad=True), torch.randn(40, 16, requires_grad=True), torch.randint(1, 40, (70,))
        expected = F.cross_entropy(hidden @ items.t(), targets)
        want = torch.autograd.grad(expected, (hidden, items))
        found = catalogue_cross_entropy(hidden, items, targets, chunk=32)
        # Products are rounded to bfloat16: 8 bits of mantissa, so about 1 % of the largest value.
        self.assertAlmostEqual(found.item(), expected.item(), delta=0.03)
        for got, wanted in zip(torch.autograd.grad(found, (hidden, items)), want):
            self.assertLess((got - wanted).abs().max(), 0.03 * wanted.abs().max())

    def test_no_state_depends_on_later_events(self) -> None:
        for kind in (AttentionBlock, GatedBlock):
            torch.manual_seed(2)
            block = kind(16, 2, 32, 0.0, 12)
            x = torch.randn(3, 9, 16)
            changed = x.clone()
            changed[:, 5:] += 1
            torch.testing.assert_close(block(x)[:, :5], block(changed)[:, :5])
            self.assertGreater((block(x)[:, 5:] - block(changed)[:, 5:]).abs().max(), 0.01)

    def test_the_gated_block_equals_its_formula_position_by_position(self) -> None:
        torch.manual_seed(3)
        block = GatedBlock(8, 2, 16, 0.0, 6).eval()
        torch.nn.init.normal_(block.bias)
        x = torch.randn(1, 5, 8)
        u, v, q, k = F.silu(block.uvqk(block.norm(x)))[0].chunk(4, dim=-1)
        for i in range(5):
            mixed = torch.zeros(8)
            for head in range(2):
                part = slice(4 * head, 4 * head + 4)
                for j in range(i + 1):
                    mixed[part] += F.silu(q[i, part] @ k[j, part] / 2 + block.bias[head, i - j]) * v[j, part] / (i + 1)
            torch.testing.assert_close(block(x)[0, i], x[0, i] + block.out(block.norm_mixed(mixed) * u[i]), rtol=1e-4, atol=1e-5)

    def test_dropout_keeps_the_mean_and_drops_the_share(self) -> None:
        torch.manual_seed(4)
        dropped = fast_dropout(torch.ones(100_003), 0.25, True)
        self.assertAlmostEqual((dropped == 0).float().mean().item(), 0.25, delta=0.01)
        self.assertAlmostEqual(dropped.mean().item(), 1.0, delta=0.01)


class ProtocolTests(unittest.TestCase):
    def test_training_shows_every_other_event_and_never_the_last_two(self) -> None:
        sequences = random_sequences()
        targets = np.concatenate([t[t > 0].numpy() for _, _, t in training_batches(sequences, 200, 256, np.random.default_rng(1))])
        expected = np.concatenate([sequences.history(user, 2)[1:] for user in range(sequences.users)])
        self.assertEqual(sorted(targets), sorted(expected))

    def test_ranking_shows_only_what_came_before_the_target(self) -> None:
        sequences, shown = random_sequences(), {}

        def spy(items, actions, lengths):
            for row, length in zip(items, lengths):
                shown[tuple(row[:length].tolist())] = row
            return torch.zeros(len(items), 51)

        full_ranking(spy, sequences, 2, 10)
        self.assertEqual(set(shown), {tuple(sequences.history(user, 2)[-10:]) for user in range(sequences.users)})

    def test_seen_items_leave_the_ranking_but_the_target_stays(self) -> None:
        sequences = random_sequences()
        # Everything seen scores above the target, everything else below it: the target must come first.
        by_history = {tuple(sequences.history(u, 1)): sequences.history(u)[-1] for u in range(sequences.users)}

        def score(items, actions, lengths):
            scores = torch.zeros(len(items), 51)
            for row, (history, length) in enumerate(zip(items, lengths)):
                scores[row, history[:length]] = 9
                scores[row, by_history[tuple(history[:length].tolist())]] = 5
            return scores

        self.assertTrue((full_ranking(score, sequences, 1, 200).ranks == 0).all())

    def test_hidden_items_keep_five_training_events_and_all_tests(self) -> None:
        sequences = random_sequences(users=80)
        hidden = np.array([3, 4, 5])
        learned = hide_items(sequences, hidden)
        self.assertEqual(learned.training_counts()[hidden].tolist(), [5, 5, 5])
        for user in range(sequences.users):
            self.assertEqual(learned.history(user)[-2:].tolist(), sequences.history(user)[-2:].tolist())
        others = np.setdiff1d(np.arange(51), hidden)
        np.testing.assert_array_equal(learned.training_counts()[others], sequences.training_counts()[others])

    def test_items_outside_the_catalogue_are_neither_targets_nor_negatives(self) -> None:
        torch.manual_seed(6)
        model = SequenceModel(ModelConfig(5, dim=16, blocks=1, heads=1, dropout=0.0))
        known = np.array([True, True, False, True, True, False])
        places = torch.from_numpy(np.where(known, np.cumsum(known) - 1, -1))
        items, targets = torch.tensor([[1, 3, 4]]), torch.tensor([[3, 2, 1]])  # the second target is not known
        loss = model.loss(items, torch.zeros_like(items), targets, places)
        vectors = model.items()
        states = model.encode(vectors, items, torch.zeros_like(items))[0]
        logits = states @ vectors[torch.from_numpy(known)].t()
        expected = F.cross_entropy(logits[[0, 2]], places[targets[0, [0, 2]]])
        self.assertAlmostEqual(loss.item(), expected.item(), places=2)
        loss.backward()
        self.assertTrue((model.items.ids.weight.grad[[2, 5]] == 0).all())

    def test_a_stopped_run_goes_on_to_the_same_weights(self) -> None:
        sequences, model = random_sequences(), ModelConfig(50, dim=16, blocks=1, heads=1)
        config = TrainingConfig(epochs=3, batch_tokens=256, validate_every=1)

        def stop_in_second_epoch(*arguments):
            stop_in_second_epoch.calls += 1
            if stop_in_second_epoch.calls == 3:  # the first call counts steps
                raise KeyboardInterrupt
            return training_batches(*arguments)

        stop_in_second_epoch.calls = 0
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            whole = next_item.train("whole", model, config, sequences, Path(folder))
            with mock.patch.object(next_item, "training_batches", stop_in_second_epoch), self.assertRaises(KeyboardInterrupt):
                next_item.train("parts", model, config, sequences, Path(folder))
            parts = next_item.train("parts", model, config, sequences, Path(folder))
            with self.assertRaisesRegex(SystemExit, "other settings"):
                next_item.train("parts", model, replace(config, epochs=4), sequences, Path(folder))
        for key, value in whole.state_dict().items():
            torch.testing.assert_close(value, parts.state_dict()[key], rtol=0, atol=0)

    def test_an_item_with_few_events_has_only_what_it_shares(self) -> None:
        codes = np.array([[-1, -1], [0, 0], [0, 1], [0, 1], [1, 0]])
        tokens = item_tokens(codes, np.array([0, 3, 40, 4, 50]), support=5)
        self.assertGreater(tokens[1, 0], 0)
        self.assertEqual(tokens[1, 1], 0)        # its bigram has 3 events
        self.assertEqual(tokens[1, 3], 0)        # and its id too
        self.assertEqual(tokens[3, 1], tokens[2, 1])
        self.assertEqual(tokens[:, 2].tolist(), [0, 1, 1, 2, 1])

    def test_semantic_ids_put_like_items_under_one_prefix(self) -> None:
        g = np.random.default_rng(5)
        centres = np.repeat(np.eye(4) * 10, 20, axis=0)
        codes = semantic_ids(np.vstack([np.zeros((1, 4)), centres + g.normal(0, 0.1, centres.shape)]), 2, 4, seed=1)
        for group in range(4):
            self.assertEqual(len(set(codes[1 + 20 * group:21 + 20 * group, 0])), 1)
        self.assertEqual(len(set(codes[1:, 0])), 4)


class EventFileTests(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name)

    def write(self, *lines: str) -> Path:
        file = self.path / "events.tsv"
        file.write_text("\n".join(lines) + "\n")
        return file

    def test_equal_times_keep_the_order_of_the_file(self) -> None:
        sequences, items, _ = load_events(self.write("user\titem\ttime", "a\tz\t5", "a\ty\t5", "b\tq\t1", "a\tx\t4", "a\tw\t5"), events_min=3)
        self.assertEqual([items[i] for i in sequences.items], ["x", "z", "y", "w"])
        self.assertEqual(sequences.users, 1)

    def test_bad_files_are_refused_with_line_and_value(self) -> None:
        for lines, message in ((["user\titem", "a\tb"], "lacks \\['time'\\]"), (["user\titem\ttime", "a\tb\tsoon"], "line 2: time 'soon'"),
                               (["user\titem\ttime", "a\tb"], "line 2: 2 columns"), (["user\titem\ttime", f"a\t{'b' * 129}\t1"], "1..128 characters"),
                               (["user\titem\ttime", "a\tb\t1"], "no user has 5 events")):
            with self.assertRaisesRegex(SystemExit, message):
                load_events(self.write(*lines))

    def test_the_command_on_made_up_events_learns_what_popularity_can_not(self) -> None:
        synthetic_events.write(self.path / "ring.tsv")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            run_events(self.path / "ring.tsv", self.path / "out", self.path / "copy.json", ["sasrec", "mesh"], seed=1, epochs=25, cold=False)
        found = json.loads((self.path / "copy.json").read_text())
        popularity, sasrec, mesh = (row["HR@10"] for row in found["rows"])
        self.assertLess(popularity, 0.4)
        self.assertGreater(sasrec, 0.6)
        self.assertGreater(mesh, 0.6)
        self.assertIn((self.path / "out" / "ring.md").read_text(), printed.getvalue())
        with contextlib.redirect_stdout(io.StringIO()):
            run_events(self.path / "ring.tsv", self.path / "out", self.path / "again.json", ["sasrec", "mesh"], seed=1, epochs=25, cold=False, as_is=True)
        self.assertEqual(json.loads((self.path / "again.json").read_text())["rows"], found["rows"])

    def test_as_is_refuses_what_was_trained_otherwise_but_for_the_epochs(self) -> None:
        def run(seed: int, epochs: int, as_is: bool = False, users: int = 20) -> str:
            synthetic_events.write(self.path / "ring.tsv", users=users)
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                run_events(self.path / "ring.tsv", self.path / "out", self.path / "found.json", ["sasrec"], seed=seed, epochs=epochs, cold=False, as_is=as_is)
            return printed.getvalue()

        run(1, 2)
        self.assertIn("2 of 9", run(1, 9, as_is=True))
        with self.assertRaisesRegex(SystemExit, "training seed 1, not 2"):
            run(2, 2, as_is=True)
        for as_is in (True, False):
            with self.assertRaisesRegex(SystemExit, "made from other data"):
                run(1, 2, as_is, users=25)
        # Checkpoints of before hashes were kept are taken, with a note.
        checkpoint = self.path / "out" / "checkpoints" / "sasrec.checkpoint.pt"
        state = torch.load(checkpoint)
        del state["made_from"]
        torch.save(state, checkpoint)
        self.assertIn("does not say which data it was made from", run(1, 2, as_is=True))

    def test_semantic_ids_of_other_data_are_refused(self) -> None:
        sequences, text = random_sequences(), np.zeros((51, 0))
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            tokens, _ = tokens_of(sequences, text, 1, self.path)
            self.assertTrue(torch.equal(tokens, tokens_of(sequences, text, 1, self.path)[0]))
            with self.assertRaisesRegex(SystemExit, "made from other data"):
                tokens_of(random_sequences(seed=2), text, 1, self.path)
            torch.save(torch.load(self.path / "semantic-ids-1.pt")[:2], self.path / "semantic-ids-1.pt")
            tokens_of(sequences, text, 1, self.path)
        self.assertIn("does not say which data", printed.getvalue())

    def test_popularity_has_a_finite_loss_and_chance_hits_by_chance(self) -> None:
        sequences = random_sequences(users=400)
        counts = sequences.training_counts()
        counts[7] = 0
        self.assertTrue(np.isfinite(full_ranking(popularity(counts), sequences, 1, 200).calibration()["log loss"]))
        found = full_ranking(chance(50, 1), replace_repeats(sequences), 1, 200)
        self.assertAlmostEqual(found.metrics()["HR@10"], 10 / 50, delta=0.06)

    def test_new_items_need_items_that_are_known_well(self) -> None:
        synthetic_events.write(self.path / "ring.tsv", users=6)
        with self.assertRaisesRegex(SystemExit, "no item has 20 training events"), contextlib.redirect_stdout(io.StringIO()):
            run_events(self.path / "ring.tsv", self.path / "out", None, [], seed=1, epochs=1, cold=True)

    def test_options_that_mean_nothing_are_refused(self) -> None:
        for arguments, message in ((["--epochs", "0"], "'0' is no whole number from 1 on"), (["--epochs", "-1"], "no whole number"),
                                   (["--cold", "--models", "mesh"], "leave --models out")):
            with contextlib.redirect_stderr(io.StringIO()) as said, self.assertRaises(SystemExit):
                command.main(["events", "--data", str(self.path / "ring.tsv"), *arguments])
            self.assertIn(message, said.getvalue())

    def test_parts_of_another_machine_or_task_are_refused(self) -> None:
        file = self.path / "parts.json"
        gact_task.check_parts(file)
        gact_task.check_parts(file)
        with mock.patch.object(gact_task, "TEST_USERS", 8), self.assertRaisesRegex(SystemExit, "of another machine"):
            gact_task.check_parts(file)
        file.write_text('{"cost": 1}')
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            gact_task.check_parts(file)
        self.assertIn("does not say", printed.getvalue())
        self.assertEqual(json.loads(file.read_text()), {"cost": 1})

    def test_as_is_says_when_there_is_nothing_to_take(self) -> None:
        synthetic_events.write(self.path / "ring.tsv", users=20)
        with self.assertRaisesRegex(SystemExit, "no validated checkpoint of sasrec"):
            run_events(self.path / "ring.tsv", self.path / "out", None, ["sasrec"], seed=1, epochs=2, cold=False, as_is=True)


class KuaiRandTests(unittest.TestCase):
    def setUp(self) -> None:
        g = np.random.default_rng(6)
        n = 400
        time_ms = np.sort(kuairand.SPLIT_MS + g.integers(-40_000_000, 40_000_000, n))
        labels = (g.random((n, 9)) < 0.3).astype(np.float32)
        self.exposures = kuairand.Exposures(g.integers(0, 12, n), g.integers(0, 20, n), time_ms, g.integers(0, 2, n), labels,
                                            g.integers(0, 9_000, n), np.full(n, 9_000), [*kuairand.ACTIONS.values(), "video_complete"], 0)
        videos = range(20)
        self.videos = kuairand.Videos({v: v % 5 for v in videos}, {v: [str(v % 3)] for v in videos}, {v: "Kmovie" for v in videos},
                                      {v: 0 for v in videos}, {v: 9_000.0 for v in videos})
        self.features = FeatureConfig(history_max=16, counter_half_life_hours=1.0)
        self.log = kuairand.catalogue(self.exposures, self.videos, {0: (1, [3, 4], {3}, {4})}, self.features)

    def test_counters_equal_a_loop_over_what_came_strictly_before(self) -> None:
        e, log = self.exposures, self.log
        for request in range(0, log.rows, 7):
            now, item = log.row_time_ms[request], log.item[log.first[request]]
            expected = sum(0.5 ** ((now - t) / 3_600_000) for t, i in zip(e.time_ms, e.item) if t < now and i == item)
            self.assertAlmostEqual(log.counts[log.first[request], 14], expected, places=3)

    def test_histories_hold_what_the_user_was_shown_strictly_before(self) -> None:
        e, log = self.exposures, self.log
        for request in range(log.rows):
            before = (e.user == log.row_user[request]) & (e.time_ms < log.row_time_ms[request])
            expected = [*([3, 4] if log.row_user[request] == 0 else []), *e.item[before]][-16:]
            self.assertEqual([i for i in log.history_item[request] if i >= 0], expected)
            acted = int((e.labels[before].sum(axis=1) > 0).sum())
            if len(expected) < 16 and log.row_user[request] != 0:
                self.assertEqual(int((log.history_actions[request] > 0).sum()), acted)

    def test_every_exposure_is_in_one_request_and_none_spans_the_split(self) -> None:
        sums = np.bincount(self.log.item, minlength=20)
        np.testing.assert_array_equal(sums, np.bincount(self.exposures.item, minlength=20))
        times = self.exposures.time_ms
        for request in range(self.log.rows):
            size = self.log.first[request + 1] - self.log.first[request]
            if self.log.row_time_ms[request] < kuairand.SPLIT_MS:
                mine = times[(self.exposures.user == self.log.row_user[request]) & (times >= self.log.row_time_ms[request]) & (times < kuairand.SPLIT_MS)]
                self.assertGreaterEqual(len(mine), size)

    def test_smoothed_rates_equal_a_loop(self) -> None:
        rates = Rates(self.log)
        found, shown = rates.of(self.log.item, rates.prior)
        times = np.repeat(self.log.row_time_ms, np.diff(self.log.first))
        labels = (self.log.labels >> 7) & 1
        for at in range(0, len(times), 11):
            before = (times < times[at]) & (self.log.item == self.log.item[at])
            self.assertEqual(shown[at], before.sum())
            self.assertAlmostEqual(found[at, 7], (labels[before].sum() + 20 * rates.prior[7]) / (before.sum() + 20))

    def test_logistic_regression_finds_the_weights_that_made_the_labels(self) -> None:
        g = np.random.default_rng(7)
        x = np.hstack([np.ones((20_000, 1)), g.normal(size=(20_000, 2))])
        weights = np.array([-1.0, 0.5, -2.0])
        y = (g.random(20_000) < 1 / (1 + np.exp(-x @ weights))).astype(float)
        np.testing.assert_allclose(logistic(x, y), weights, atol=0.1)

    def test_item_numbers_spell_one_bigram_each(self) -> None:
        from feedmesh.config import SemanticIdConfig
        codes = item_number_codes(100, SemanticIdConfig(levels=3, codes_per_level=16))
        self.assertEqual(len({tuple(row) for row in codes[:, :2]}), 100)
        with self.assertRaisesRegex(SystemExit, "do not fit"):
            item_number_codes(300, SemanticIdConfig(levels=3, codes_per_level=16))


if __name__ == "__main__":
    unittest.main()
