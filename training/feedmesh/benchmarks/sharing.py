"""Exports the graphs of `benchmarks -- ranker-sharing`: python3 -m feedmesh.benchmarks.sharing --out FOLDER.

One ranker of 4 layers, width 128, 4 heads, 14 outputs, computed in several ways that must agree: `context` once and `candidates`
on its keys and values; `masked`, one sequence of history and candidates in which a mask hides the candidates from all but
themselves (with one candidate a row, it is also how a ranker re-encodes the history for each). The steps of the candidate
graph from the obvious to the one in nn.attention are exported too. Random weights: speed does not depend on them.
"""
from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import Callable

import torch
from torch import Tensor, nn

from ..config import ACTION_COUNT, EncoderConfig
from ..nn.attention import Attention, Block
from ..nn.gact import GactEncoder, fold, fold_mask

WIDTH, LAYERS, HEADS, WIDENING, GLOBALS = 128, 4, 4, 4, 4
OPSET = 17
GEMM = 1536

State = dict[str, Tensor]
Attend = Callable[[Attention, Tensor, Tensor, Tensor], Tensor]


class Scorer(nn.Module):
    """Encoder and heads on embedded tokens: what the embedding tables cost is the same in every way."""

    def __init__(self, length: int, folding: int) -> None:
        super().__init__()
        config = EncoderConfig(token=WIDTH // folding, fold=folding, width=WIDTH, layers=LAYERS, heads=HEADS, globals=GLOBALS, widening=WIDENING)
        self.length, self.encoder = length, GactEncoder(config, length)
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, ACTION_COUNT)

    def finish(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.head(self.norm(x)))


class Context(nn.Module):
    """history [B, L, token] to keys and values of every layer."""

    def __init__(self, scorer: Scorer, transposed: bool, ones: bool) -> None:
        super().__init__()
        self.scorer, self.transposed, self.ones = scorer, transposed, ones

    def forward(self, history: Tensor) -> tuple[Tensor, ...]:
        layers, _, _ = self.scorer.encoder(history, history[:, -1:], torch.ones_like(history[:, :, 0]))
        return tuple(tensor for keys, values in layers for tensor in (
            keys if self.transposed else keys.transpose(2, 3), values if self.ones else values[..., :-1]))


class Candidates(nn.Module):
    """Keys and values, and candidates [B, N, width], to probabilities [B, N, 14]."""

    def __init__(self, scorer: Scorer, attend: Attend) -> None:
        super().__init__()
        self.scorer, self.attend = scorer, attend

    def forward(self, *inputs: Tensor) -> Tensor:
        x = inputs[-1]
        for layer, block in enumerate(self.scorer.encoder.blocks):
            y = block.norm(x)
            x = block._feed(x + self.attend(block.attention, y, inputs[2 * layer], inputs[2 * layer + 1]))
        return self.scorer.finish(x)


class Masked(nn.Module):
    """One sequence: history, then candidates that see the history and themselves. mask [L' + N, L' + N] holds 0 or -10,000."""

    def __init__(self, scorer: Scorer) -> None:
        super().__init__()
        self.scorer = scorer

    def forward(self, history: Tensor, candidates: Tensor, mask: Tensor) -> Tensor:
        encoder = self.scorer.encoder
        folded = encoder.project(fold(history, encoder.fold)) + encoder.position.flip(0)
        x = torch.cat([encoder.globals.expand(history.shape[0], -1, -1), encoder.latest(history[:, -1:]), folded, candidates], dim=1)
        for block in encoder.blocks:
            q, k, v = block.attention.heads_of(block.norm(x))
            weights = torch.softmax(torch.matmul(q, k.transpose(2, 3)) + mask, dim=-1)
            x = block._feed(x + block.attention._merge(torch.matmul(weights, v)))
        return self.scorer.finish(x[:, encoder.globals_count + 1 + self.scorer.length // encoder.fold:])


class Product(nn.Module):
    """What the machine can do at most: one large matrix product."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.matmul(a, b)


class Int8Linear(nn.Module):
    """A linear layer on int8 with fixed scales: u8 activations by tensor, s8 weights by column.

    Scales are fixed because dynamic ones are taken over all rows of a batch: a score would depend on its neighbours.
    """

    def __init__(self, linear: nn.Linear, largest: float) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight.t().contiguous(), linear.bias
        self.input_scale = largest / 127
        self.register_buffer("weight_scale", self.weight.abs().amax(0) / 127)
        self.register_buffer("weight_zero", torch.zeros(self.weight.shape[1], dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.fake_quantize_per_tensor_affine(x, self.input_scale, 128, 0, 255)
        y = torch.matmul(x, torch.fake_quantize_per_channel_affine(self.weight, self.weight_scale, self.weight_zero, 1, -128, 127))
        return y if self.bias is None else y + self.bias


def quantized(scorer: Scorer, run: Callable[[Scorer], object]) -> Scorer:
    """A copy whose blocks compute on int8, with activation scales from one run of the original."""
    largest: dict[str, float] = {}
    hooks = [module.register_forward_pre_hook(lambda _, inputs, name=name: largest.__setitem__(name, max(largest.get(name, 0.0), inputs[0].abs().max().item())))
             for name, module in scorer.encoder.blocks.named_modules() if isinstance(module, nn.Linear)]
    run(scorer)
    for hook in hooks:
        hook.remove()
    copied = copy.deepcopy(scorer)
    for name, value in largest.items():
        parent, _, leaf = name.rpartition(".")
        setattr(copied.encoder.blocks.get_submodule(parent), leaf, Int8Linear(copied.encoder.blocks.get_submodule(name), value))
    return copied.eval()


def tokens(length: int, folding: int) -> int:
    """History tokens after folding, with the latest event and the global tokens."""
    return GLOBALS + 1 + length // folding


def concat(attention: Attention, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """The obvious one: the own score beside the context's, one softmax, cut apart again."""
    q, k, v = attention.heads_of(x)
    weights = torch.softmax(torch.cat([torch.matmul(q, keys.transpose(2, 3)), (q * k).sum(-1, keepdim=True)], dim=-1), dim=-1)
    return attention._merge(torch.matmul(weights[..., :-1], values) + weights[..., -1:] * v)


def two_part(attention: Attention, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Two sums and one division: nothing is glued or cut. As logits are bounded, no maximum is needed."""
    q, k, v = attention.heads_of(x)
    weights = torch.exp(torch.matmul(q, keys.transpose(2, 3)))
    own = torch.exp((q * k).sum(-1, keepdim=True))
    return attention._merge((torch.matmul(weights, values) + own * v) / (weights.sum(-1, keepdim=True) + own))


def transposed(attention: Attention, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Keys lie as the product wants them."""
    q, k, v = attention.heads_of(x)
    weights = torch.exp(torch.matmul(q, keys))
    own = torch.exp((q * k).sum(-1, keepdim=True))
    return attention._merge((torch.matmul(weights, values) + own * v) / (weights.sum(-1, keepdim=True) + own))


def ones(attention: Attention, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """The sum of the weights is one more column of the product, as served."""
    q, k, v = attention.heads_of(x)
    return attention.attend_and_self(q, k, v, keys, values)


STEPS: dict[str, tuple[Attend, bool, bool]] = {  # name: attention, transposed keys, ones column
    "concat": (concat, False, False), "two-part": (two_part, False, False), "transposed": (transposed, True, False), "served": (ones, True, True),
}


def export(out: Path, length: int, folding: int, seed: int = 1) -> None:
    """Writes the graphs of one length and folding; all have the same weights."""
    torch.manual_seed(seed)
    scorer = Scorer(length, folding).eval()
    history, rows = torch.randn(1, length, WIDTH // folding), torch.randn(1, 5, WIDTH)
    name = f"L{length}-k{folding}"
    with torch.no_grad():
        for step, (attend, keys_transposed, ones_column) in STEPS.items():
            if step != "served" and folding > 1:
                continue
            context = Context(scorer, keys_transposed, ones_column).eval()
            state = context(history)
            names = [f"{kind}_{layer}" for layer in range(LAYERS) for kind in ("keys", "values")]
            _export(context, (history,), out / f"{name}-{step}-context.onnx", ["history"], names, {})
            _export(Candidates(scorer, attend).eval(), (*state, rows), out / f"{name}-{step}-candidates.onnx", [*names, "candidates"], ["probabilities"],
                    {"candidates": {1: "candidates"}, "probabilities": {1: "candidates"}})
        int8 = quantized(scorer, lambda original: Candidates(original, ones)(*state, torch.randn(1, 1000, WIDTH)))
        _export(Candidates(int8, ones).eval(), (*state, rows), out / f"{name}-int8-candidates.onnx", [*names, "candidates"], ["probabilities"],
                {"candidates": {1: "candidates"}, "probabilities": {1: "candidates"}})
        mask = torch.zeros(tokens(length, folding) + 5, tokens(length, folding) + 5)
        _export(Masked(scorer).eval(), (history, rows, mask), out / f"{name}-masked.onnx", ["history", "candidates", "mask"], ["probabilities"],
                {"history": {0: "batch"}, "candidates": {0: "batch", 1: "candidates"}, "probabilities": {0: "batch", 1: "candidates"}, "mask": {0: "all", 1: "all"}})


def _export(module: nn.Module, inputs: tuple[Tensor, ...], path: Path, names: list[str], outputs: list[str], axes: dict) -> None:
    torch.onnx.export(module, inputs, str(path), input_names=names, output_names=outputs, dynamic_axes=axes, opset_version=OPSET)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--lengths", default="512,2000")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    _export(Product(), (torch.randn(GEMM, GEMM), torch.randn(GEMM, GEMM)), arguments.out / "gemm.onnx", ["a", "b"], ["c"], {})
    for length in map(int, arguments.lengths.split(",")):
        for folding in (1, 4):
            export(arguments.out, length, folding)
            print(f"history {length}, folding {folding}: exported", flush=True)
        (arguments.out / f"L{length}.done").touch()  # an export that was cut short is made again


if __name__ == "__main__":
    main()
