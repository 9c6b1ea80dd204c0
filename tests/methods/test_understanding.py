"""Prompts in the user's own words: the sentences to train on, the network, and how much it understands."""

import re
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from airtool.errors import UsageError
from airtool.methods.autodir import paraphrases
from airtool.methods.autodir.paraphrases import UNDERSTOOD, sentence
from airtool.methods.autodir.understanding import LanguageSide, language_loss, shares_of, spoken
from airtool.methods.autodir.vocabulary import CLASSES, NOTHING
from airtool.methods.weights import embedded_path, read_weights

PROMPTS = Path(__file__).parent / "prompts.toml"


@pytest.fixture(scope="module")
def sentences() -> list[tuple[str, tuple[str, ...]]]:
    rng = np.random.default_rng(0)
    return [sentence(rng) for _ in range(12_000)]


@pytest.fixture(scope="module")
def embedded() -> LanguageSide:
    try:
        path = embedded_path("autodir", "small")
    except UsageError:
        pytest.skip("no weights of autodir are embedded yet")
    prefix = "language."
    tensors = read_weights(path).tensors
    side = LanguageSide()
    side.load_state_dict({key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)})
    return side.eval()


def untrained() -> LanguageSide:
    torch.manual_seed(0)
    return LanguageSide(buckets=512, width=16).eval()


# The sentences to train on.


def test_every_reference_of_the_phrases_is_there_and_every_bracket_closed() -> None:
    tables = paraphrases._tables()
    assert set(tables["classes"]) == set(UNDERSTOOD) == set(CLASSES) - {NOTHING}
    kinds = [set(tables["classes"][name]) for name in UNDERSTOOD]
    assert all(each == kinds[0] for each in kinds)
    phrases = [
        phrase
        for group in (tables["shared"], tables["nothing"], tables["frames"], *tables["classes"].values())
        for phrases in group.values()
        for phrase in phrases
    ]
    for phrase in phrases:
        assert set(re.findall(r"<(\w*)>", phrase)) <= {*tables["shared"], "name"}, phrase
        if phrase not in (" (", ":)"):
            plain = phrase
            while paraphrases.CHOICE.search(plain):
                plain = paraphrases.CHOICE.sub("", plain)
            assert not set("()|") & set(plain), phrase


def test_the_generator_state_decides_the_sentence(sentences: list) -> None:
    again, other = np.random.default_rng(0), np.random.default_rng(1)
    assert [sentence(again) for _ in range(100)] == sentences[:100]
    assert sum(sentence(other) == sentences[index] for index in range(100)) < 10


def test_all_classes_and_none_are_meant_in_many_wordings(sentences: list) -> None:
    meant = Counter(name for _, names in sentences for name in names)
    assert all(0.08 < meant[name] / len(sentences) < 0.3 for name in UNDERSTOOD)
    sizes = Counter(len(names) for _, names in sentences)
    assert 0.2 < sizes[0] / len(sentences) < 0.3
    assert all(sizes[count] > 0.05 * len(sentences) for count in (1, 2, 3))
    assert len({text for text, _ in sentences}) > 0.95 * len(sentences)
    assert all(text and not set("<>|") & set(text) for text, _ in sentences)
    # The order of the classes is always that of the vocabulary.
    assert all(list(names) == sorted(names, key=UNDERSTOOD.index) for _, names in sentences)


WORDS = {
    **{"noise": "noise", "grain": "noise", "graininess": "noise", "blur": "blur", "softness": "blur"},
    **{"rain": "rain", "drizzle": "rain", "downpour": "rain", "haze": "haze", "fog": "haze", "mist": "haze"},
    **{"darkness": "low light", "pixelation": "low resolution", "droplets": "raindrop", "snow": "snow"},
    **{"snowflakes": "snow", "blizzard": "snow", "mosquito noise": "JPEG", "compression": "JPEG"},
}
"""Words that belong to one class only."""


def named(opening: str, sentences: list) -> list[tuple[str, tuple[str, ...]]]:
    """The class that is named after some words, and what that sentence means, for all sentences with those words."""
    words = "|".join(WORDS)
    other = r"(?! (?:removal|reduction|cleanup)| ?drop|-)"
    pattern = re.compile(rf"\b(?:{opening}) (?:the |this |that |all the |any |)({words})\b{other}")
    return [(WORDS[word], names) for text, names in sentences for word in pattern.findall(text)]


def test_what_shall_stay_is_not_meant(sentences: list) -> None:
    found = named(
        "keep|(?<!don't )leave|hands off|(?:not|don't|never) (?:touch|remove|change|alter|fix)|ignore|spare", sentences
    )
    assert len(found) > 20
    assert all(name not in names for name, names in found)


def test_what_is_not_wanted_is_meant(sentences: list) -> None:
    """A "don't" that is a wish to be rid of something."""
    found = named("i hate|i want no|don't want|don't like|can't stand|should be no|no more|without|with no", sentences)
    assert len(found) > 20
    assert all(name in names for name, names in found)


def test_only_the_classes_asked_for_are_meant() -> None:
    rng = np.random.default_rng(0)
    assert {name for _ in range(100) for name in sentence(rng, ("rain", "JPEG"))[1]} == {"rain", "JPEG"}


# The network.


def test_marks_and_apostrophes_are_heard() -> None:
    assert spoken("don't") == spoken("don’t") == "dont"
    assert spoken("rain, not snow").split() == ["rain", "xcomma", "not", "snow"]
    assert spoken("f/1.8 lens... dark!!! fix").split() == ["f/1.8", "lens", "xstop", "dark", "xstop", "fix"]
    assert spoken("fog+snow").split() == ["fog", "plus", "snow"]


@pytest.mark.parametrize("text", ["", "   ", "🌧️", "?!", "雨を取り除く", "x" * 10_000, "make it " * 1_250])
def test_any_text_has_probabilities(text: str) -> None:
    probabilities = untrained().understand(text)
    assert tuple(probabilities) == UNDERSTOOD
    assert all(0.0 <= value <= 1.0 for value in probabilities.values())
    assert untrained().understand(text) == probabilities


def test_a_sentence_does_not_depend_on_its_neighbours() -> None:
    side = untrained()
    alone = side(side.tokenised(["the fog"]))
    together = side(side.tokenised(["it was raining cats and dogs, " * 5, "the fog", ""]))
    torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=1e-5)


def test_the_order_of_words_counts() -> None:
    side = untrained()
    first, second = side(side.tokenised(["keep the rain remove the snow", "remove the rain keep the snow"]))
    assert (first - second).abs().max() > 1e-3


def test_it_is_small() -> None:
    assert sum(tensor.numel() for tensor in LanguageSide().state_dict().values()) < 400_000


def trained(steps: int) -> LanguageSide:
    torch.manual_seed(0)
    side = LanguageSide()
    optimiser = torch.optim.AdamW(side.parameters(), lr=5e-3)
    for step in range(steps):
        optimiser.zero_grad()
        language_loss(side, step, 32).backward()
        optimiser.step()
    return side.eval()


def test_sentences_are_learned_and_the_seed_alone_decides_them() -> None:
    first, held_out = trained(25), 10**9
    with torch.no_grad():
        assert language_loss(first, held_out, 100) == language_loss(first, held_out, 100)
        assert language_loss(first, held_out, 100) < 0.85 * language_loss(trained(0), held_out, 100)
        assert language_loss(first, held_out + 1, 100) != language_loss(first, held_out, 100)


# Shares, and refusals.


def test_shares_are_equal_and_add_up() -> None:
    probabilities = dict.fromkeys(UNDERSTOOD, 0.01) | {"snow": 0.5, "rain": 0.97, "low light": 0.6}
    shares = shares_of(probabilities)
    assert [name for name, _ in shares] == ["rain", "low light", "snow"]
    assert all(share == pytest.approx(1 / 3) for _, share in shares)
    assert shares_of(probabilities, threshold=0.9) == (("rain", 1.0),)


def test_a_prompt_without_a_class_is_refused_with_the_closest_ones() -> None:
    probabilities = dict.fromkeys(UNDERSTOOD, 0.01) | {"snow": 0.31, "haze": 0.2}
    with pytest.raises(UsageError, match=r"closest: snow \(31 %\) and haze \(20 %\)") as caught:
        shares_of(probabilities)
    assert "\n" not in str(caught.value)
    assert all(name in str(caught.value).split("known:")[1] for name in UNDERSTOOD)


# What the embedded weights make of words that were never in the phrases.


def test_most_handwritten_prompts_are_understood_exactly(embedded: LanguageSide) -> None:
    prompts = tomllib.loads(PROMPTS.read_text("utf-8"))
    assert len(prompts) >= 120
    right, hits, wrong, missed = [], Counter[str](), Counter[str](), Counter[str]()
    for text, classes in prompts.items():
        meant = set(classes)
        assert meant <= set(UNDERSTOOD), text
        found = {name for name, value in embedded.understand(text).items() if value >= 0.5}
        right.append(found == meant)
        hits.update(found & meant)
        wrong.update(found - meant)
        missed.update(meant - found)
    assert np.mean(right) >= 0.9
    for name in UNDERSTOOD:
        assert 2 * hits[name] / (2 * hits[name] + wrong[name] + missed[name]) >= 0.85, name


def test_the_sentence_of_the_handbook(embedded: LanguageSide) -> None:
    shares = shares_of(embedded.understand("make it brighter and remove the drizzle"))
    assert shares == (("rain", 0.5), ("low light", 0.5))
    for refused in ("make the sky purple", "hello", "", "🙂"):
        with pytest.raises(UsageError, match="known: noise, blur"):
            shares_of(embedded.understand(refused))
