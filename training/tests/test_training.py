"""Rows, k-means, evaluation and export."""
import dataclasses
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np
import torch

import small
from feedmesh import config as configuration
from feedmesh import all as every_step
from feedmesh import evaluation, kmeans, loop, measure, package, rows, safetensors, toy
from feedmesh.actions import names
from feedmesh.batches import Joined, shuffle_authors, to_tensors
from feedmesh.run import Run
from feedmesh.towers import softmax_loss


class RowTests(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = Path(self.folder.name)
        self.features = small.config().features
        toy.write(self.path / "w", seed=1, requests=60)

    def load(self) -> rows.Catalogue:
        return rows.load(self.path / "w", self.features, self.path / "cache")[0]

    def test_the_cache_gives_what_parsing_gave(self) -> None:
        parsed, cached = self.load(), self.load()
        for name, value in vars(parsed).items():
            np.testing.assert_array_equal(value, getattr(cached, name), name)

    def test_a_row_that_knows_its_future_is_refused(self) -> None:
        file = self.path / "w" / "rows.jsonl"
        lines = file.read_text().splitlines()
        at = next(i for i, line in enumerate(lines) if json.loads(line)["sequence"]["timesMs"])
        row = json.loads(lines[at])
        row["sequence"]["timesMs"][-1] = row["timeMs"]
        lines[at] = json.dumps(row)
        file.write_text("\n".join(lines) + "\n")
        with self.assertRaisesRegex(ValueError, "must not know its future"):
            self.load()

    def test_no_history_holds_an_event_of_its_own_request(self) -> None:
        catalogue = self.load()
        for request in range(catalogue.rows):
            shown = set(catalogue.item[catalogue.first[request]:catalogue.first[request + 1]])
            engaged_now = {i for i in shown if i in set(catalogue.history_item[request])}
            earlier = {i for r in range(request) if catalogue.row_user[r] == catalogue.row_user[request]
                       for i in catalogue.item[catalogue.first[r]:catalogue.first[r + 1]]}
            self.assertLessEqual(engaged_now, earlier)

    def test_split_by_time_keeps_the_latest_for_validation(self) -> None:
        training, validation = rows.split([self.load()], 0.25)
        self.assertEqual((training[0].rows, validation[0].rows), (45, 15))
        self.assertLess(training[0].row_time_ms.max(), validation[0].row_time_ms.min())
        self.assertEqual(len(training[0].item), training[0].first[-1])

    def test_batches_look_codes_up_and_mark_padding(self) -> None:
        catalogue = self.load()
        codes = np.random.default_rng(1).integers(0, 8, (len(catalogue.item_created_ms), 3))
        joined = Joined(catalogue, codes, small.config())
        requests = np.array([0, 59])
        history = joined.history(requests)
        padding = history["history_mask"] == 0
        self.assertTrue((history["history_codes"][padding] == -1).all() and (history["history_authors"][padding] == 0).all())
        inputs, labels, real = joined.candidates(requests)
        first = catalogue.item[catalogue.first[59]]
        self.assertEqual(inputs["candidate_codes"][1, 0].tolist(), codes[first].tolist())
        self.assertEqual(labels.shape[:2], real.shape)

    def test_shuffled_authors_stay_equal_where_they_were_and_only_there(self) -> None:
        arrays = to_tensors({"history_authors": np.array([[[0, 0], [1, 127], [5, 6]]]), "candidate_authors": np.array([[[5, 6], [127, 1]]])})
        torch.manual_seed(1)
        shuffle_authors(arrays, 1.0, 128)
        history, candidate = arrays["history_authors"][0], arrays["candidate_authors"][0]
        self.assertEqual(history[0].tolist(), [0, 0])
        self.assertEqual(history[2].tolist(), candidate[0].tolist())
        self.assertNotEqual(history[1].tolist(), candidate[1].tolist())
        self.assertTrue(((history[1:] >= 1) & (history[1:] <= 127)).all())


class KMeansTests(unittest.TestCase):
    def setUp(self) -> None:
        self.rows = torch.randn(500, 6, generator=torch.Generator().manual_seed(2))

    def test_the_same_seed_gives_the_same_codebooks(self) -> None:
        first, second, other = (kmeans.fit(self.rows, 2, 8, 10, True, seed) for seed in (1, 1, 2))
        self.assertTrue(torch.equal(first, second))
        self.assertFalse(torch.equal(first, other))

    def test_every_code_of_the_first_level_is_used_and_each_level_leaves_less(self) -> None:
        books = kmeans.fit(self.rows, 3, 8, 20, False, 1)
        rest, errors = self.rows, []
        for book in books:
            code, _ = kmeans.nearest(rest, book)
            rest = rest - book[code]
            errors.append((rest ** 2).sum(-1).mean().item())
            self.assertEqual(len(torch.unique(code)), 8)
        self.assertEqual(errors, sorted(errors, reverse=True))

    def test_a_dead_code_is_revived(self) -> None:
        book = torch.cat([self.rows[:3], torch.full((1, 6), 1e3)])
        code, _ = kmeans.nearest(self.rows, kmeans.lloyd(self.rows, book, 20))
        self.assertEqual(len(torch.unique(code)), 4)


class RunTests(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = Path(self.folder.name)

    def test_every_option_trains_and_exports(self) -> None:
        base = small.config()
        config = dataclasses.replace(
            base, bf16=True, semantic_ids=dataclasses.replace(base.semantic_ids, method="rqvae", latent=6, hidden=12, steps=30),
            content=dataclasses.replace(base.content, steps=10, batch=32), ranker=dataclasses.replace(base.ranker, steps=5, batch=4),
            towers=dataclasses.replace(base.towers, loss="sampled", negatives=40, recall_at=20, steps=5, batch=8))
        toy.write(self.path / "data", seed=1, requests=60)
        run = Run(config, self.path / "data", self.path)
        version = every_step.train(run)
        self.assertTrue((self.path / "package" / "candidates.onnx").exists() and version.startswith("small-"))
        self.assertIn("| click |", (self.path / "report.md").read_text())
        self.assertEqual(safetensors.load(self.path / "package" / "codebooks.safetensors")["codebooks"].shape, (3, 8, 6))
        losses = json.loads((self.path / "rqvae.losses.json").read_text())
        self.assertLess(np.mean(losses[-5:]), np.mean(losses[:5]))
        self.assertIn("| mean |", measure.table(measure.measure(run, run.catalogues, run.config)))

    def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(self) -> None:
        def train(out: Path, stop_at: int | None) -> list[float]:
            torch.manual_seed(1)
            module, steps = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1)), []

            def loss_of(generator: np.random.Generator) -> torch.Tensor:
                if len(steps) == stop_at:
                    raise KeyboardInterrupt
                steps.append(1)
                return (module(torch.from_numpy(generator.normal(0, 1, (16, 4)).astype(np.float32))) ** 2).mean()

            return loop.Training("small", module, small.config(), out, 8, 0.01).run(loss_of)

        with mock.patch.object(loop, "CHECKPOINT_SECONDS", 0.0):
            whole = train(self.path / "whole", None)
            with self.assertRaises(KeyboardInterrupt):
                train(self.path / "stopped", 5)
            self.assertEqual(train(self.path / "stopped", None), whole)


class MeasureTests(unittest.TestCase):
    def test_tokens_of_unknown_items_are_part_of_a_history(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            toy.write(path / "w", seed=1, requests=60)
            config = small.config()
            run = Run(config, path / "w", path, config.features.prior_rates)
            one = run.catalogues[0]
            one.history_item[:] = np.where(one.history_item == -2, -2, -1)
            with mock.patch.object(Run, "models", lambda self, **_: package.Models.create(self.config)):
                result = measure.measure(run, [one], config)
        self.assertLess(result["by_history"]["0"]["candidates"], len(one.item))
        self.assertIn("NDCG@10 of pages by the default weights", measure.table(result))

    def test_softmax_loss_counts_what_was_open_only(self) -> None:
        scores = torch.tensor([[1.0, 2.0, 50.0]])
        loss = softmax_loss(scores, torch.tensor([[1.0, 0, 0]]), torch.tensor([[1.0, 1, 0]]))
        self.assertAlmostEqual(loss.item(), float(np.log(1 + np.e)), places=5)


class PackageTests(unittest.TestCase):
    def test_the_package_is_whole_and_its_version_a_function_of_its_files(self) -> None:
        config = small.config()
        with tempfile.TemporaryDirectory() as folder:
            versions = [package.write(config, package.Models.create(config), Path(folder) / str(i), names(), {}, {}) for i in range(2)]
            other = dataclasses.replace(config, seed=2)
            versions.append(package.write(other, package.Models.create(other), Path(folder) / "2", names(), {}, {}))
            manifest = json.loads((Path(folder) / "0" / "manifest.json").read_text())
            check = safetensors.load(Path(folder) / "0" / "check.safetensors")
        self.assertEqual(versions[0], versions[1])
        self.assertNotEqual(versions[0], versions[2])
        self.assertEqual(manifest["version"], versions[0])
        self.assertEqual(len(manifest["files"]), 6)
        models = package.Models.create(config).eval()
        with torch.no_grad():
            history = {name: torch.from_numpy(check[f"context.in.{name}"]) for name in package.HISTORY_INPUTS}
            candidates = {name: torch.from_numpy(check[f"candidates.in.{name}"]) for name in package.CANDIDATE_INPUTS}
            scores = models.ranker.probabilities(models.ranker(history, candidates))
        np.testing.assert_allclose(scores, check["candidates.out.probabilities"], atol=1e-6)

    def test_all_faults_of_a_configuration_are_named_at_once(self) -> None:
        base = small.config()
        bad = dataclasses.replace(
            base, held_out=1.5, seed=True, bf16="yes", semantic_ids=dataclasses.replace(base.semantic_ids, method="magic", codes_per_level=1),
            ranker=dataclasses.replace(base.ranker, steps=0, learning_rate=float("nan"), batch="8"))
        with self.assertRaises(ValueError) as refused:
            configuration.check(bad)
        for fault in ("held_out is 1.5", "seed is True", "bf16 is 'yes'", "semantic_ids.method is magic; known are kmeans and rqvae",
                      "semantic_ids.codes_per_level is 1", "ranker.steps is 0", "ranker.learning_rate is nan", "ranker.batch is '8'"):
            self.assertIn(fault, str(refused.exception))
        configuration.check(base)
        with self.assertRaises(ValueError) as refused:
            configuration.check(dataclasses.replace(base, features=dataclasses.replace(base.features, history_max=15), towers=dataclasses.replace(base.towers, vectors=3)))
        self.assertIn("no multiple of towers.encoder.fold", str(refused.exception))
        self.assertIn("towers.vectors 3 needs", str(refused.exception))

    def test_the_configurations_of_this_folder_are_sound_and_rates_are_not_configured(self) -> None:
        folder = Path(__file__).resolve().parents[1] / "configs"
        for path in folder.glob("*.json"):
            self.assertTrue(configuration.load(path).name)
        with tempfile.TemporaryDirectory() as other:
            path = Path(other) / "c.json"
            path.write_text('{"features": {"prior_rates": [0.1]}}')
            with self.assertRaisesRegex(ValueError, "are counted in the training data"):
                configuration.load(path)
            path.write_text('{"features": 3}')
            with self.assertRaisesRegex((ValueError, TypeError), "must be an object"):
                configuration.load(path)

    def test_an_unknown_key_of_the_configuration_is_named(self) -> None:
        with self.assertRaisesRegex(ValueError, "unknown layer; known are .*layers"):
            configuration.from_dict(configuration.EncoderConfig, {"layer": 3}, "file")


if __name__ == "__main__":
    unittest.main()
