"""Sentences as tokens of CLIP (Radford et al., ICML 2021, arXiv 2103.00020), for weights of AutoDIR's authors.

The sentences that the authors trained on are known by heart; any other one takes CLIP's vocabulary, a file of a
megabyte that no checkpoint holds.
"""

import gzip
import zlib
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from airtool.errors import AirtoolError, UsageError
from airtool.methods.autodir.packages import package
from airtool.methods.autodir.vocabulary import NOTHING, prompt

START, END = 49406, 49407
"""Tokens around every sentence. The second one also fills sentences up."""

SIZE = END + 1
"""Tokens of the vocabulary."""

BEFORE, AFTER = (320, 1125, 2536), (37718, 12219)
"""Tokens of "a photo needs" and "artifact reduction"."""

WORDS = {
    "noise": (9307,),
    "blur": (27976,),
    "rain": (2443,),
    "low light": (21675, 87, 35539),
    "haze": (22785,),
    "low resolution": (1042, 9977),
    "raindrop": (3128, 3387),
    NOTHING: (871,),
}
"""Tokens of each class's name, the classes in the authors' order."""

AUTHORS_NAMES = {"low light": "underexposure"}
"""What the authors' sentences call a class, where that is not our name for it."""

CLASSES = tuple(WORDS)
"""What the authors' weights tell apart."""

FILE = "bpe_simple_vocab_16e6.txt.gz"
"""The vocabulary under the name that its publishers gave it."""

LETTERS = 256
"""Bytes, of which every token is made."""

MERGES = SIZE - 2 * LETTERS - 2
"""Pairs that become one token: what is no single byte (inside or at the end of a word), nor around a sentence."""


def sentence(name: str) -> str:
    """The authors' sentence for a class of `CLASSES`."""
    return prompt(AUTHORS_NAMES.get(name, name))


def class_tokens(name: str) -> tuple[int, ...]:
    """The tokens of `sentence`, without those around it."""
    return (*BEFORE, *WORDS[name], *AFTER)


def tokenise(text: str, merges: str) -> tuple[int, ...]:
    """The tokens of any sentence, without those around it.

    merges: what `read_merges` gave, or "": then the classes' sentences and the empty one are known. Raises UsageError
    for another one.
    """
    known = {"": (), **{sentence(name).lower(): class_tokens(name) for name in CLASSES}}
    plain = " ".join(text.lower().split())
    if plain in known:
        return known[plain]
    if not merges:
        raise UsageError(
            "these weights came without CLIP's vocabulary, so they know no free sentences: name what to remove with "
            f"--degradation, or import the checkpoint again with --variant tokenizer={FILE}"
        )
    return _encoder(merges.split("\n"))(text)


def around(tokens: tuple[int, ...], length: int) -> list[int]:
    """Tokens with those that begin and end a sentence, filled up to `length`. Raises UsageError when it is too long."""
    if len(tokens) > length - 2:
        raise UsageError(f"the sentence has {len(tokens)} tokens and CLIP takes {length - 2}: make it shorter")
    return [START, *tokens, *[END] * (length - 1 - len(tokens))]


def read_merges(path: Path) -> str:
    """CLIP's vocabulary, as pairs of tokens a line, the first merged first.

    path: `FILE` (plain or gzip), or merges.txt of the same model; they begin alike. Raises AirtoolError when the file
    is missing, damaged or no vocabulary of CLIP.
    """
    remedy = f"name {FILE} of OpenAI's CLIP, or merges.txt of the same model"
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            pairs = [line.strip() for line in islice(file, 1, 1 + MERGES)]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise AirtoolError(f"{path} cannot be read ({error}): {remedy}") from None
    if len(pairs) < MERGES or not _grows(pairs):
        raise AirtoolError(f"{path} is no vocabulary of CLIP: {remedy}")
    encode = _encoder(pairs)
    if any(encode(sentence(name)) != class_tokens(name) for name in CLASSES):
        raise AirtoolError(f"{path} is another vocabulary than CLIP's: {remedy}")
    return "\n".join(pairs)


def _letters() -> list[str]:
    """A character for each byte, and each of them at the end of a word."""
    # Bytes that print stand for themselves, the others follow in characters that nobody writes.
    printing = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = [chr(code) for code in (*printing, *range(LETTERS, 2 * LETTERS - len(printing)))]
    return [*letters, *(f"{letter}</w>" for letter in letters)]


def _grows(pairs: list[str]) -> bool:
    """Whether every line is a pair of tokens that are there before it."""
    known = set(_letters())
    for pair in pairs:
        parts = pair.split(" ")
        if len(parts) != 2 or not known.issuperset(parts):
            return False
        known.add("".join(parts))
    return True


def _encoder(pairs: list[str]) -> Callable[[str], tuple[int, ...]]:
    """What turns sentences into tokens."""
    merges = [tuple(pair.split(" ")) for pair in pairs]
    names = [*_letters(), *map("".join, merges), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = package("transformers").CLIPTokenizer(
        vocab={name: number for number, name in enumerate(names)}, merges=merges
    )
    return lambda text: tuple(tokenizer(text)["input_ids"][1:-1])
