"""Parts of the sequence models: two kinds of blocks, dropout that is cheap on a CPU, cross entropy over a whole catalogue."""
import math

import torch
from torch import nn
from torch.nn import functional as F


def fast_dropout(x: torch.Tensor, rate: float, training: bool) -> torch.Tensor:
    """Dropout whose mask takes one random byte per value: eight values per draw of the serial CPU generator. Rate in steps of 1/256."""
    threshold = round(rate * 256)
    if not training or threshold == 0:
        return x
    words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64, device=x.device).random_(-2**63, None)
    keep = words.view(torch.uint8)[: x.numel()].view(x.shape) >= threshold
    return x * (keep.to(x.dtype) * (256 / (256 - threshold)))


class Dropout(nn.Module):
    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return fast_dropout(x, self.rate, self.training)


class AttentionBlock(nn.Module):
    """The block of SASRec: causal softmax attention, then a position-wise network, each with a norm before it."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float, length: int):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm, self.norm_ffn = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.ffn = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), Dropout(dropout), nn.Linear(hidden, dim))
        self.register_buffer("hidden_future", torch.full((length, length), float("-inf")).triu(1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, dim = x.shape
        q, k, v = self.qkv(self.norm(x)).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-1, -2) * (dim // self.heads) ** -0.5 + self.hidden_future[:length, :length].to(q.dtype)
        mixed = (fast_dropout(scores.softmax(-1), self.dropout, self.training) @ v).transpose(1, 2).reshape(batch, length, dim)
        x = x + fast_dropout(self.out(mixed), self.dropout, self.training)
        return x + fast_dropout(self.ffn(self.norm_ffn(x)), self.dropout, self.training)


class GatedBlock(nn.Module):
    """The HSTU block: SiLU attention with a learned bias per distance, normalised, gated by a projection of the input.

    out = x + W_o(norm(A V) * U), with U, V, Q, K = SiLU(W x) and A = SiLU(Q K^T + bias[i - j]) / (number of visible positions).
    """

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float, length: int):
        super().__init__()
        self.heads, self.dropout, self.length = heads, dropout, length
        self.norm, self.norm_mixed = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.uvqk, self.out = nn.Linear(dim, 4 * dim), nn.Linear(dim, dim)
        self.bias = nn.Parameter(torch.zeros(heads, length))
        nn.init.xavier_uniform_(self.out.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, dim = x.shape
        u, v, q, k = F.silu(self.uvqk(self.norm(x))).chunk(4, dim=-1)
        v, q, k = (t.view(batch, length, self.heads, -1).transpose(1, 2) for t in (v, q, k))
        # Row i of the Toeplitz matrix is a window of (bias of distance length-1 ... 0, then -inf for the future).
        future = torch.full((self.heads, length - 1), -1e4, device=x.device)
        distances = torch.cat([self.bias[:, :length].flip(1), future], dim=1)
        toeplitz = distances.unfold(1, length, 1).flip(1).to(q.dtype)
        visible = torch.arange(1, length + 1, dtype=q.dtype, device=x.device).reciprocal()[:, None]
        scores = F.silu(q @ k.transpose(-1, -2) * (dim // self.heads) ** -0.5 + toeplitz)
        mixed = ((scores @ v) * visible).transpose(1, 2).reshape(batch, length, dim)
        return x + self.out(fast_dropout(self.norm_mixed(mixed.float()) * u, self.dropout, self.training))


class CatalogueCrossEntropy(torch.autograd.Function):
    """Mean cross entropy of hidden @ items^T against targets, in chunks of rows, with the gradients made on the way forward.

    The [positions, items] matrix of logits never exists: at 25,600 x 3,417 it would take 350 MB and be page-fault bound.
    """

    @staticmethod
    def forward(ctx, hidden: torch.Tensor, items: torch.Tensor, targets: torch.Tensor, chunk: int):
        rows = hidden.shape[0]
        with torch.autocast(hidden.device.type, enabled=False):
            dtype = torch.bfloat16
            hidden16, items16 = hidden.detach().to(dtype), items.detach().to(dtype)
            grad_hidden, grad_items = torch.empty_like(hidden, dtype=torch.float32), torch.zeros_like(items, dtype=torch.float32)
            total = 0.0
            for start in range(0, rows, chunk):
                part, wanted = hidden16[start:start + chunk], targets[start:start + chunk]
                logits = (part @ items16.t()).float()
                normaliser = logits.logsumexp(1, keepdim=True)
                index = torch.arange(len(wanted), device=wanted.device)
                total += (normaliser.squeeze(1) - logits[index, wanted]).sum()
                error = logits.sub_(normaliser).exp_()
                error[index, wanted] -= 1
                error16 = error.to(dtype)
                grad_hidden[start:start + chunk] = error16 @ items16
                grad_items += error16.t() @ part
        ctx.save_for_backward(grad_hidden / rows, grad_items / rows)
        ctx.dtypes = hidden.dtype, items.dtype
        return total / rows

    @staticmethod
    def backward(ctx, grad):
        grad_hidden, grad_items = ctx.saved_tensors
        return (grad_hidden * grad).to(ctx.dtypes[0]), (grad_items * grad).to(ctx.dtypes[1]), None, None


def catalogue_cross_entropy(hidden: torch.Tensor, items: torch.Tensor, targets: torch.Tensor, chunk: int = 1024) -> torch.Tensor:
    return CatalogueCrossEntropy.apply(hidden, items, targets, chunk)
