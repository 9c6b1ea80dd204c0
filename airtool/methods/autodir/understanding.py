"""The language side of restoring by prompt: a sentence in the user's own words becomes the classes that it means."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airtool.errors import UsageError
from airtool.methods.autodir.paraphrases import UNDERSTOOD, sentence
from airtool.methods.autodir.text import PADDING, tokenise, words_of

DILATIONS = (1, 2, 4)
"""Distances between the five words that each layer looks at: together 14 words to each side."""

PIECES_LOST = 0.1
"""Share of the pieces of words that training hides, so that no word is known by a single one."""

PARTS = 4
"""Groups by length that the sentences of a training step are computed in."""

SPOKEN = {",": "xcomma", ";": "xstop", ":": "xcomma", ".": "xstop", "!": "xstop", "?": "xstop", "\n": "xstop"}
"""Marks that end the reach of a "not", as words, since the tokeniser leaves marks out."""

NEAR = 0.01
"""Probability from which on a class is worth a mention as the closest one."""

MARKS = re.compile(r"([,;:.!?\n])[\s,;:.!?]*(?=\s|$)")
"""Those marks at the end of a word; runs count once, and the point of "1.8" is none."""


def spoken(text: str) -> str:
    """The sentence as the tokeniser should read it: "don't" is one word, and so is every mark between clauses."""
    text = re.sub(r"(?<=\w)['’](?=\w)", "", text)
    text = re.sub(r"\s[-–—]\s", " , ", text).replace("+", " plus ").replace("&", " and ").replace("—", " , ")
    return MARKS.sub(lambda found: f" {SPOKEN[found[1]]} ", text)


class LanguageSide(nn.Module):
    """Logits of every class of `UNDERSTOOD` for sentences, each class for itself. Holds no state besides its weights.

    A word is the mean of its pieces; layers of convolutions over the words let a "not" or a "keep" reach what it is
    about; every word then speaks for or against each class, and the strongest voice counts.
    """

    def __init__(self, buckets: int = 4096, width: int = 64) -> None:
        super().__init__()
        self.buckets = buckets
        self.pieces = nn.Embedding(1 + buckets, width, padding_idx=PADDING)
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in DILATIONS])
        self.layers = nn.ModuleList(
            [nn.Conv1d(width, width, 5, padding=2 * dilation, dilation=dilation) for dilation in DILATIONS]
        )
        self.voice = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, len(UNDERSTOOD)))

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (N, classes) of tokens (N, W, P) as `tokenised` gives them. Filling up changes nothing."""
        counts = (tokens != PADDING).sum(2, keepdim=True)
        present = counts > 0
        # As `self.pieces(tokens).sum(2)`, without the vectors of all pieces at once.
        sums = F.embedding_bag(tokens.flatten(0, 1), self.pieces.weight, mode="sum", padding_idx=PADDING)
        words = sums.view(*counts.shape[:2], -1) / counts.clamp(min=1)
        for norm, layer in zip(self.norms, self.layers, strict=True):
            # Zeros stand for words that are not there, before a sentence as well as after it.
            seen = norm(words) * present
            words = words + F.gelu(layer(seen.transpose(1, 2)).transpose(1, 2))
        return self.voice(words).masked_fill(~present, float("-inf")).amax(1)

    def tokenised(self, texts: Sequence[str]) -> Tensor:
        """(texts, words, pieces) int64 on the device of the weights."""
        return tokenise([spoken(text) for text in texts], self.buckets).to(self.pieces.weight.device)

    @torch.no_grad()
    def understand(self, text: str) -> dict[str, float]:
        """The probability of each class that the sentence asks to remove it; any text will do, the empty one too."""
        if not any(words_of(text)):
            return dict.fromkeys(UNDERSTOOD, 0.0)  # the network has never seen a sentence without words
        logits = self(self.tokenised([text]))[0].float()
        return dict(zip(UNDERSTOOD, logits.sigmoid().tolist(), strict=True))


def language_loss(side: LanguageSide, generator_seed: int, count: int) -> Tensor:
    """Binary cross-entropy (scalar) over `count` fresh sentences, which the seed alone decides."""
    rng = np.random.default_rng(generator_seed)
    generator = torch.Generator().manual_seed(generator_seed)
    pairs = sorted((sentence(rng) for _ in range(count)), key=lambda pair: len(pair[0]))
    # Sentences of about one length together: most are short, and filling them up would cost more than they do.
    size = -(-count // PARTS)
    parts = [_summed_loss(side, pairs[start : start + size], generator) for start in range(0, count, size)]
    return torch.stack(parts).sum() / (count * len(UNDERSTOOD))


def _summed_loss(
    side: LanguageSide, pairs: Sequence[tuple[str, tuple[str, ...]]], generator: torch.Generator
) -> Tensor:
    wanted = torch.tensor([[float(name in meant) for name in UNDERSTOOD] for _, meant in pairs])
    tokens = side.tokenised([text for text, _ in pairs])
    lost = torch.rand(tokens.shape, generator=generator) < PIECES_LOST
    # The first piece stays, or a word without any would be taken for filling.
    lost[:, :, 0] = False
    logits = side(tokens.masked_fill(lost.to(tokens.device), PADDING)).float()
    return F.binary_cross_entropy_with_logits(logits, wanted.to(logits.device), reduction="sum")


def shares_of(probabilities: Mapping[str, float], threshold: float = 0.5) -> tuple[tuple[str, float], ...]:
    """The classes that reach the threshold, with equal shares that add up to 1, in the order of `probabilities`.

    Raises UsageError, naming the closest classes and all known ones, when none does.
    """
    understood = [name for name, probability in probabilities.items() if probability >= threshold]
    if not understood:
        nearest = sorted(probabilities, key=lambda name: -probabilities[name])[:2]
        near = [f"{name} ({100 * probabilities[name]:.0f} %)" for name in nearest if probabilities[name] >= NEAR]
        closest = f"closest: {' and '.join(near)}; " if near else ""
        raise UsageError(
            f"the prompt names nothing that can be removed here; {closest}known: {', '.join(probabilities)}; "
            "say it with one of these words"
        )
    return tuple((name, 1.0 / len(understood)) for name in understood)
