"""What steps leave behind: checkpoints that resume exactly, outputs that know their data, calibration, what is gone, and the card's words."""
import contextlib
import dataclasses
import io
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np
import torch

import small
from feedmesh import all as every_step
from feedmesh import content, export, loop, measure, provenance, rows, semantic_ids, smoke, toy
from feedmesh.batches import Joined, to_tensors
from feedmesh.nn.content import ResidualQuantizer
from feedmesh.nn.ranker import Ranker
from feedmesh.ranker import Trainee, calibrate, masked_bce
from feedmesh.rqvae import RqVae
from feedmesh.run import Run


def quick(**changes) -> "small.Config":
    base = small.config()
    return dataclasses.replace(
        base, content=dataclasses.replace(base.content, steps=4, batch=32), ranker=dataclasses.replace(base.ranker, steps=3, batch=4),
        towers=dataclasses.replace(base.towers, recall_at=20, steps=3, batch=8), **changes)


class Folder(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name)

    def said(self, act) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            act()
        return printed.getvalue()


class ResumeTests(Folder):
    def test_rqvae_goes_on_as_if_it_had_not_been_stopped(self) -> None:
        ids = dataclasses.replace(small.config().semantic_ids, method="rqvae", latent=6, hidden=12)
        rows_ = torch.randn(200, 8, generator=torch.Generator().manual_seed(1))

        def train(out: Path, stop_at: int | None) -> ResidualQuantizer:
            torch.manual_seed(1)
            vae, steps = RqVae(ResidualQuantizer(ids, 8), ids, rows_, 1), []

            def loss_of(generator: np.random.Generator) -> torch.Tensor:
                if len(steps) == stop_at:
                    raise KeyboardInterrupt
                steps.append(1)
                return vae.loss(generator)

            loop.Training("rqvae", vae, small.config(), out, 12, 0.01).run(loss_of)
            return vae.quantizer

        with mock.patch.object(loop, "CHECKPOINT_SECONDS", 0.0), contextlib.redirect_stdout(io.StringIO()):
            whole = train(self.path / "whole", None)
            with self.assertRaises(KeyboardInterrupt):
                train(self.path / "stopped", 6)
            stopped = train(self.path / "stopped", None)
        self.assertEqual(set(whole.state_dict()), set(ResidualQuantizer(ids, 8).state_dict()), "what only training needs is no part of the quantiser")
        for name, value in whole.state_dict().items():
            torch.testing.assert_close(stopped.state_dict()[name], value, rtol=0, atol=0, msg=name)

    def test_a_checkpoint_of_other_data_is_not_gone_on_with(self) -> None:
        def train(made_from: dict[str, str]) -> str:
            module = torch.nn.Linear(2, 1)
            return self.said(lambda: loop.Training("small", module, small.config(), self.path, 3, 0.1, made_from=made_from).run(
                lambda generator: module(torch.from_numpy(generator.normal(0, 1, (4, 2)).astype(np.float32))).pow(2).mean()))

        train({"data": "a", "content.pt": "b"})
        self.assertIn("resumed at step 3", train({"data": "a", "content.pt": "b"}))
        self.assertIn("made from other content.pt; starting anew", train({"data": "a", "content.pt": "c"}))
        self.assertIn("made from other content.pt and data; starting anew", train({"data": "d", "content.pt": "e"}))
        self.assertIn("resumed at step 3", train({"data": "d", "content.pt": "e"}))


class OutputTests(Folder):
    def test_outputs_of_other_data_are_refused_and_the_steps_restart(self) -> None:
        for seed in (1, 2):
            toy.write(self.path / f"data-{seed}", seed=seed, requests=60)
        first, second = (Run(quick(), self.path / f"data-{seed}", self.path / "out") for seed in (1, 2))
        (self.path / "out").mkdir()
        self.said(lambda: content.train(first))
        self.said(lambda: semantic_ids.train(first))
        with self.assertRaisesRegex(ValueError, "content.pt was made from other data: run `python3 -m feedmesh.content`"):
            self.said(lambda: semantic_ids.train(second))
        self.assertIn("made from other data; starting anew", self.said(lambda: content.train(second)))
        with self.assertRaisesRegex(ValueError, "semantic_ids.pt was made from other content.pt and data"):
            second.models(content=True, quantizer=True)
        other = Run(quick(seed=2), self.path / "data-2", self.path / "out")
        with self.assertRaisesRegex(ValueError, "made from other configuration"):
            other.models(content=True)
        self.assertIsNotNone(Run(quick(about_data="said"), self.path / "data-2", self.path / "out").models(content=True))

    def test_an_output_that_does_not_say_what_it_was_made_from_is_taken_with_a_note(self) -> None:
        toy.write(self.path / "data", seed=1, requests=60)
        run = Run(quick(), self.path / "data", self.path)
        self.said(lambda: content.train(run))
        torch.save(torch.load(self.path / "content.pt")["weights"], self.path / "content.pt")
        self.assertIn("does not say what it was made from", self.said(lambda: run.models(content=True)))

    def test_hashes_tell_arrays_apart_by_name_type_shape_and_value(self) -> None:
        base = np.arange(6)
        hashes = {provenance.of_arrays([entry]) for entry in (
            ("a", base), ("b", base), ("a", base.astype(np.float64)), ("a", base.reshape(2, 3)), ("a", base[::-1]), ("a", base[:0]))}
        self.assertEqual(len(hashes), 6)
        self.assertEqual(provenance.of_arrays([("a", base)]), provenance.of_arrays([("a", np.arange(6))]))

    def test_smoke_refuses_a_folder_that_holds_something(self) -> None:
        (self.path / "content.pt").write_bytes(b"")
        with mock.patch("sys.argv", ["smoke", "--out", str(self.path)]), self.assertRaisesRegex(SystemExit, "not an empty folder"):
            smoke.main()


class CardTests(Folder):
    def test_the_card_says_what_the_data_are_and_whether_they_are_new(self) -> None:
        for seed in (1, 2):
            toy.write(self.path / "data" / f"world-{seed}", seed=seed, requests=60)
        toy.write(self.path / "copy" / "of-world-1", seed=1, requests=60)
        toy.write(self.path / "new" / "world-9", seed=9, requests=60)
        run = Run(quick(about_data="Made of toys."), self.path / "data", self.path / "out")
        (self.path / "out").mkdir()
        (self.path / "out" / "config.json").write_text(json.dumps(dataclasses.asdict(run.given)))
        self.said(lambda: every_step.train(run))
        path = self.path / "out" / "package" / "MODEL_CARD.md"
        card = path.read_text()
        self.assertIn("Made of toys.", card)
        self.assertIn("the latest requests of each, of users and items that training saw too", card)
        self.assertIn("the others gave this table", card)
        self.assertNotIn("synthetic world", card)
        for folder, heading in (("copy", "## On data that steps have seen (of-world-1)"), ("data", "## On data that steps have seen (world-1, world-2)"),
                                ("new", "## On data that no step has seen")):
            with mock.patch("sys.argv", ["measure", "--run", str(self.path / "out"), "--data", str(self.path / folder)]):
                self.said(measure.main)
            self.assertIn(heading + "\n", path.read_text())
            self.assertEqual(path.read_text().count("## On data that"), 1)

    def test_data_sets_held_out_whole_are_called_new(self) -> None:
        toy.write(self.path / "w", seed=1, requests=60)
        one = rows.load(self.path / "w", small.config().features, self.path)[0]
        run = Run(quick(), self.path, self.path)
        run.catalogues = [dataclasses.replace(one, name=f"w{i}") for i in range(5)]
        data = {"training": ["w0"], "validation": ["w4"], "requests": 1, "candidates": 1, "items": 1, "gone": 7}
        card = export.card(run, data, {"ranker": {"heads": {}, "ndcg_at_10": 0.5}, "towers": {}, "semantic_ids": {"collision_rate": 0.0}})
        self.assertIn("w4: users, authors and items that training never saw. Left out were 7 candidates", card)
        self.assertIn("Nothing is said of where its data come from", card)


class GoneTests(Folder):
    def setUp(self) -> None:
        super().setUp()
        toy.write(self.path / "w", seed=1, requests=60)
        self.items = (self.path / "w" / "items.jsonl").read_text().splitlines()
        self.requests = [json.loads(line) for line in (self.path / "w" / "rows.jsonl").read_text().splitlines()]

    def load(self, items: list[str]) -> rows.Catalogue:
        (self.path / "w" / "items.jsonl").write_text("\n".join(items) + "\n")
        (self.path / "w" / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in self.requests))
        return rows.load(self.path / "w", small.config().features, self.path / "cache")[0]

    def test_what_is_left_keeps_its_place_and_what_is_gone_is_counted(self) -> None:
        page = self.requests[0]["candidates"]
        gone = {page[0]["itemId"], page[3]["itemId"]}
        page[1]["served"] = False  # never shown, so it took no place
        said = self.said(lambda: setattr(self, "loaded", self.load([line for line in self.items if json.loads(line)["itemId"] not in gone])))
        self.assertRegex(said, r"of 719 served candidates \(\d\.\d%\) are left out")
        c = self.loaded
        self.assertEqual(c.place[:c.first[1]].tolist(), [1, *range(3, 11)])
        self.assertEqual(c.gone + len(c.item), 719)
        joined = Joined(c, np.zeros((len(c.item_created_ms), 3), dtype=np.int64), small.config())
        inputs, _, real = joined.candidates(np.array([0]))
        self.assertEqual(inputs["candidate_places"][0].tolist(), [1, *range(3, 11)])
        torch.manual_seed(1)
        trainee = Trainee(Ranker(small.config()).eval())
        with torch.no_grad():
            trainee.place[1] = 5.0
            arrays = to_tensors(joined.history(np.array([0])) | inputs)
            torch.testing.assert_close(trainee(arrays, arrays)[0, 0], trainee.ranker(arrays, arrays)[0, 0] + 5)

    def test_a_page_of_which_nothing_is_left_is_skipped(self) -> None:
        for row in self.requests[:20]:
            row["candidates"] = [{**c, "itemId": "gone"} for c in row["candidates"]]
        self.said(lambda: setattr(self, "loaded", self.load(self.items)))
        self.assertEqual((self.loaded.rows, self.loaded.gone), (40, 240))
        self.assertEqual(masked_bce(torch.zeros(2, 0, 14), torch.zeros(2, 0, 14), torch.zeros(2, 0)).item(), 0.0)

    def test_a_data_set_of_which_nothing_is_left_is_refused(self) -> None:
        other = [json.dumps({**json.loads(line), "itemId": f"other-{i}"}) for i, line in enumerate(self.items)]
        with self.assertRaisesRegex(ValueError, "no candidate is left: 720 were served, 720 of them of items that items.jsonl lacks"):
            self.said(lambda: self.load(other))

    def test_rows_and_items_without_what_they_need_are_named_by_line(self) -> None:
        del self.requests[3]["timeMs"]
        with self.assertRaisesRegex(ValueError, "rows.jsonl:4: the row has no timeMs"):
            self.load(self.items)
        with self.assertRaisesRegex(ValueError, "items.jsonl:2: the item has no itemId"):
            self.load([self.items[0], "{}"])

    def test_a_dwell_that_is_no_number_counts_as_none(self) -> None:
        row = next(row for row in self.requests if 8 in __import__("base64").b64decode(row["sequence"]["actions"]))
        row["sequence"]["values"] = ["NaN"] * len(row["sequence"]["values"])
        at = self.requests.index(row)
        self.assertEqual(self.load(self.items).history_value[at].max(), 0.0)


class CalibrationTests(unittest.TestCase):
    def setUp(self) -> None:
        g = torch.Generator().manual_seed(3)
        self.logits = torch.randn(4000, 14, generator=g) * 2 - 1
        self.labels = (torch.rand(4000, 14, generator=g) < torch.sigmoid(self.logits)).float()
        self.labels[:, 0] = (torch.rand(4000, generator=g) < torch.sigmoid(-2 - self.logits[:, 0])).float()  # backwards
        self.labels[:, 1] = (torch.rand(4000, generator=g) < 0.03).float()                                   # uninformative
        self.labels[:, 2] = 0                                                                                # without positives
        self.logits[:, 3] = -4.0                                                                             # says the same of all
        self.ranker = Ranker(small.config())
        calibrate(self.ranker, self.logits, self.labels)

    def test_the_mean_probability_of_every_head_is_its_base_rate(self) -> None:
        with torch.no_grad():
            mean = self.ranker.probabilities(self.logits).mean(0)
        np.testing.assert_allclose(mean, self.labels.mean(0), atol=2e-4)

    def test_scales_stay_near_what_the_labels_show(self) -> None:
        self.assertAlmostEqual(self.ranker.scale[0].item(), 0.05)
        self.assertLess(self.ranker.scale[1], 0.2)
        self.assertLessEqual(self.ranker.scale[2], 1.0)
        self.assertGreater(self.ranker.shift[2], -20)
        self.assertAlmostEqual(self.ranker.scale[3].item(), 1.0, places=2)
        np.testing.assert_allclose(self.ranker.scale[4:], 1, atol=0.1)
        np.testing.assert_allclose(self.ranker.shift[4:], 0, atol=0.15)


class ContentTests(unittest.TestCase):
    def test_a_content_that_is_the_same_for_all_items_finds_nothing(self) -> None:
        first, second = np.array([0, 1]), np.array([2, 3])
        same = torch.ones(40, 4) / 2
        self.assertEqual(content.others_at_least_as_near(same, first, second).tolist(), [38, 38])
        told = torch.eye(40)
        told[2], told[3] = told[0] + 0.1 * told[7], told[1]
        self.assertEqual(content.others_at_least_as_near(torch.nn.functional.normalize(told, dim=-1), first, second).tolist(), [0, 0])

    def test_only_a_token_of_an_author_is_dropped(self) -> None:
        tokens = torch.tensor([[5, 6, 7], [8, 9, 0]])
        dropped = content._without_authors(tokens, torch.tensor([True, False]), 1.0)
        self.assertEqual(dropped.tolist(), [[0, 6, 7], [8, 9, 0]])


if __name__ == "__main__":
    unittest.main()
