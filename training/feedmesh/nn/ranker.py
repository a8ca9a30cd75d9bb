"""The ranker: a context encoded once per request, and candidates that see it and themselves, all at one position.

Users, authors and items of serving were often never seen in training. So beside attention a candidate gets matches: what
the user did, in this very history, with items of the same author, first code and bigram, and of similar content. They are sums, not
means as attention gives: how often counts. And they are equality, or distance between contents, hence mean the same for ids that no
table has learnt.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import ACTION_COUNT, DENSE_WIDTH, GAP_BUCKETS, SURFACE_BUCKETS, Config
from .embeddings import HistoryEmbedding, padded_table
from .gact import GactEncoder, sum_rows

CANDIDATE_INPUTS = ("candidate_codes", "candidate_authors", "candidate_ages", "candidate_dense", "surface")
MATCHES = 5                                  # author, first code, bigram, similar content within a wide and a narrow radius
STATISTICS = 2 * (ACTION_COUNT + 1)          # actions and token count, plain and weighted by recency


class Ranker(nn.Module):
    """context() and candidates() are the two graphs; forward() is both, for training."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        encoder, ranker = config.ranker.encoder, config.ranker
        self.author_buckets = config.features.author_buckets
        self.history = HistoryEmbedding(config.features, config.semantic_ids, encoder, ranker.author_dropout)
        self.encoder = GactEncoder(encoder, config.features.history_max, ranker.dropout)
        self.user = nn.Linear(encoder.width + STATISTICS, encoder.width)
        self.age = nn.Embedding(GAP_BUCKETS, encoder.token)
        self.surface = padded_table(SURFACE_BUCKETS, encoder.token)
        self.token = nn.Linear(encoder.token, encoder.width)
        wide_width = DENSE_WIDTH + MATCHES * STATISTICS
        self.wide_in = nn.Linear(wide_width, 2 * encoder.width)
        self.wide_user = nn.Linear(STATISTICS, 2 * encoder.width, bias=False)  # ten clicks of ten are more than ten of a hundred
        self.wide_out = nn.Linear(2 * encoder.width, encoder.width)
        self.similar = nn.Linear(encoder.token, encoder.token, bias=False)
        self.sharpness = nn.Parameter(torch.tensor([1.5, 3.0]))   # logs: a token at cosine c counts exp(sharpness * (c - 1))
        self.fading = nn.Parameter(torch.tensor(4.0))  # time buckets, less one, in which a token's weight falls to 1 / e
        self.norm = nn.LayerNorm(encoder.width)
        self.head = nn.Linear(encoder.width, ACTION_COUNT)
        self.wide_head = nn.Linear(wide_width, ACTION_COUNT, bias=False)
        self.register_buffer("scale", torch.ones(ACTION_COUNT))   # calibration, per head
        self.register_buffer("shift", torch.zeros(ACTION_COUNT))
        nn.init.normal_(self.age.weight, std=0.1)
        nn.init.eye_(self.similar.weight)
        nn.init.zeros_(self.wide_head.weight)

    @torch.no_grad()
    def start_from(self, codebooks: Tensor, prior_rates: Sequence[float]) -> None:
        """Codes begin with what they mean, heads with how often each action is done: rare ones would take hundreds of steps to get there."""
        self.history.semantic.start_from(codebooks)
        self.head.bias.copy_(torch.logit(torch.tensor(prior_rates)))

    def context(self, history: dict[str, Tensor], keep: Tensor | None = None) -> dict[str, Tensor]:
        """History inputs to the state that candidates need. Names are the ONNX names, in order."""
        mask = history["history_mask"]
        tokens, latest = self.history(history, keep)
        layers, _, pooled = self.encoder(tokens, latest, mask)
        statistics = self._statistics(history)
        overall = _log1p(sum_rows(statistics))
        authors, codes = history["history_authors"], history["history_codes"]
        state: dict[str, Tensor] = {}
        for layer, (keys, values) in enumerate(layers):
            state[f"keys_{layer}"], state[f"values_{layer}"] = keys, values
        state["user"] = _rowwise(self.user, torch.cat([pooled, overall], dim=-1))
        state["wide_user"] = _rowwise(self.wide_user, overall)
        state["statistics"] = statistics
        state["similar"] = self._direction(codes).transpose(1, 2)
        state["match_author"] = self._author_ids(authors)
        state["match_first"] = codes[..., 0]
        state["match_bigram"] = self.history.semantic.bigram_ids(codes)
        return state

    def candidates(self, state: dict[str, Tensor], candidates: dict[str, Tensor], keep: Tensor | None = None) -> Tensor:
        """State and candidate inputs to logits [B, N, 14], not yet calibrated."""
        codes, authors = candidates["candidate_codes"], candidates["candidate_authors"]
        wide = torch.cat([candidates["candidate_dense"], self._matches(state, codes, authors)], dim=-1)
        token = (self.history.semantic.full(codes) + self.history.author(authors, keep) + self.age(candidates["candidate_ages"])
                 + self.surface(candidates["surface"]).unsqueeze(1))
        hidden = F.gelu(self.wide_in(wide) + state["wide_user"].unsqueeze(1))
        x = self.token(token) + self.wide_out(hidden) + state["user"].unsqueeze(1)
        if x.dtype == torch.bfloat16:
            x = x.float()  # under autocast what the blocks add to stays in full precision, as it does in the encoder
        for layer, block in enumerate(self.encoder.blocks):
            x = block.candidates(x, state[f"keys_{layer}"], state[f"values_{layer}"])
        return self.head(self.norm(x)) + self.wide_head(wide)

    def forward(self, history: dict[str, Tensor], candidates: dict[str, Tensor]) -> Tensor:
        keep = self.history.author.draw_keep(history["history_mask"].shape[0], history["history_mask"].device)
        return self.candidates(self.context(history, keep), candidates, keep)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Calibrated: one scale and one shift per head."""
        return torch.sigmoid(logits * self.scale + self.shift)

    def state_names(self) -> list[str]:
        """Names of context.onnx's outputs, in order."""
        layers = [f"{kind}_{layer}" for layer in range(len(self.encoder.blocks)) for kind in ("keys", "values")]
        return [*layers, "user", "wide_user", "statistics", "similar", "match_author", "match_first", "match_bigram"]

    def _statistics(self, history: dict[str, Tensor]) -> Tensor:
        """[B, L, STATISTICS]: what was done, plain and faded by age, zero at padding."""
        mask = history["history_mask"].unsqueeze(-1)
        plain = torch.cat([history["history_actions"], torch.ones_like(mask)], dim=-1) * mask
        fade = torch.exp(-history["history_gaps"].unsqueeze(-1).float() / (torch.abs(self.fading) + 1.0))
        return torch.cat([plain, plain * fade], dim=-1)

    def _direction(self, codes: Tensor) -> Tensor:
        """[B, N, levels] to unit vectors [B, N, token] whose cosine says how alike two contents are; zero for unknown items."""
        x = self.similar(self.history.semantic.truncated(codes))
        return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6)

    def _author_ids(self, authors: Tensor) -> Tensor:
        """Both hashes as one number; -1 where there is no author, so that nothing matches nothing."""
        known = (authors[..., 0] > 0).long()
        return known * (authors[..., 0] * self.author_buckets + authors[..., 1] + 1) - 1

    def _matches(self, state: dict[str, Tensor], codes: Tensor, authors: Tensor) -> Tensor:
        """[B, N, MATCHES * STATISTICS]: log1p of the history's statistics over tokens that match the candidate."""
        # A candidate without author or codes gets -2: history writes -1 there.
        ids = (
            ("match_author", self._author_ids(authors)), ("match_first", codes[..., 0]),
            ("match_bigram", self.history.semantic.bigram_ids(codes)),
        )
        sums = []
        for name, own in ids:
            own = own - (own < 0).long()
            equal = (own.unsqueeze(2) == state[name].unsqueeze(1)).float()
            sums.append(torch.matmul(equal, state["statistics"]))
        distance = torch.matmul(self._direction(codes), state["similar"]) - 1
        for radius in range(MATCHES - len(ids)):
            sums.append(torch.matmul(torch.exp(distance * torch.exp(self.sharpness[radius])), state["statistics"]))
        return _log1p(torch.cat(sums, dim=-1))


def _rowwise(linear: nn.Linear, x: Tensor) -> Tensor:
    """linear(x) of [B, in], each row twice: a single row takes a matrix-vector path whose last bit differs, and one user alone must
    be as among many."""
    return linear(x.unsqueeze(1).expand(-1, 2, -1))[:, 0]


def _log1p(x: Tensor) -> Tensor:
    """log(1 + x) for 0 <= x <= 1,000 to 1e-5, of nothing but operations that IEEE rounds exactly.

    ONNX Runtime takes the logarithm of the last few elements of a thread's share by other code than of the rest: with two
    threads a candidate's last bit then depended on how many others there were. log(y) = 8 log(y^(1/8)), and that by the series of atanh.
    """
    root = torch.sqrt(torch.sqrt(torch.sqrt(1 + x)))
    z = (root - 1) / (root + 1)
    square = z * z
    return 16 * z * (1 + square * (1 / 3 + square * (1 / 5 + square * (1 / 7 + square * (1 / 9 + square / 11)))))
