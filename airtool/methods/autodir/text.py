"""The text side of the detector: a sentence becomes a vector by its words, and a word by its letters."""

import re
import zlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn

NGRAMS = (3, 4, 5)
"""Lengths of the pieces of a word."""

LONGEST_WORD = 24
"""Letters of a word that count: bounds the pieces of nonsense."""

PADDING = 0
"""The number of no piece at all."""


def words_of(text: str) -> list[str]:
    """The words of a sentence in lower case; a sentence without any has one empty word."""
    return re.findall(r"[^\W_]+", text.lower()) or [""]


def pieces_of(word: str, buckets: int) -> list[int]:
    """Numbers from 1 to `buckets` for a word and its n-grams, "<" and ">" being its ends.

    Hashed (CRC-32), not listed, so that every word of every language has a vector and words that share a stem share
    most of theirs (the subword model of Bojanowski et al., TACL 2017, arXiv 1607.04606).
    """
    bounded = f"<{word[:LONGEST_WORD]}>"
    grams = {bounded[start : start + size] for size in NGRAMS for start in range(len(bounded) - size + 1)}
    return [1 + zlib.crc32(piece.encode()) % buckets for piece in sorted(grams | {bounded})]


def tokenise(texts: Sequence[str], buckets: int) -> Tensor:
    """(texts, words, pieces) int64, filled up with `PADDING`."""
    found = [[pieces_of(word, buckets) for word in words_of(text)] for text in texts]
    most_words = max(len(words) for words in found)
    most_pieces = max(len(pieces) for words in found for pieces in words)
    tokens = torch.full((len(texts), most_words, most_pieces), PADDING, dtype=torch.int64)
    for row, words in enumerate(found):
        for column, pieces in enumerate(words):
            tokens[row, column, : len(pieces)] = torch.tensor(pieces)
    return tokens


class TextEncoder(nn.Module):
    """Maps tokens (N, W, P) to vectors (N, embedding), not normalised.

    A word is the mean of its pieces, a sentence a mean of its words, weighted by a learned attention: most words of
    the template say nothing about the damage.
    """

    def __init__(self, buckets: int, width: int, embedding: int) -> None:
        super().__init__()
        self.pieces = nn.Embedding(1 + buckets, width, padding_idx=PADDING)
        self.norm = nn.LayerNorm(width)
        self.attention = nn.Linear(width, 1)
        self.project = nn.Sequential(nn.Linear(width, embedding), nn.GELU(), nn.Linear(embedding, embedding))

    def forward(self, tokens: Tensor) -> Tensor:
        present = tokens != PADDING
        counts = present.sum(2, keepdim=True)
        words = self.norm(self.pieces(tokens).sum(2) / counts.clamp(min=1))
        weights = self.attention(words).masked_fill(counts == 0, float("-inf")).softmax(dim=1)
        return self.project((weights * words).sum(1))
