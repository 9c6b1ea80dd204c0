"""Sentences of many wordings with the classes that they mean, to train the language side on.

A grammar over the phrases of `phrases.toml` and `phrases_of_classes.toml`: orders, complaints, questions, stories,
telegram style and the template, of no class to five, with things that shall stay, requests that nothing here can
fulfil, small talk and typing errors.
"""

import re
import tomllib
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any, TypeVar

import numpy as np

from airtool.methods.autodir.vocabulary import CLASSES, NOTHING, prompt

Item = TypeVar("Item")

UNDERSTOOD = tuple(name for name in CLASSES if name != NOTHING)
"""The classes that a sentence can ask to be removed, in the order of `CLASSES`."""

HOW_MANY = (0.24, 0.36, 0.24, 0.12, 0.03, 0.01)
"""How often a sentence means no class, one, two, ..."""

TYPING_ERRORS = 0.15
"""Share of the sentences that have some."""

CLUSTERS = ("bl", "br", "ch", "cl", "dr", "fl", "fr", "gr", "pl", "pr", "sh", "st", "th", "tr")
ONSETS = ("", *"bcdfghjklmnprstvwyz", *CLUSTERS)
VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ee", "oo", "ou")
CODAS = ("", "", "", *"lmnrstkdpx", "ck", "nd", "ng", "rt", "st", "sh")
"""What names that nobody has heard of are made of: a word that is not known must not mean anything."""

CHOICE = re.compile(r"\(([^()]*)\)")
REFERENCE = re.compile(r"<(\w+)>")


@lru_cache(maxsize=1)
def _tables() -> dict[str, Any]:
    general, of_classes = (
        tomllib.loads(files(__package__).joinpath(name).read_text("utf-8"))
        for name in ("phrases.toml", "phrases_of_classes.toml")
    )
    return {**general, "classes": of_classes}


class _Writer:
    """Draws from the tables with one generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        tables = _tables()
        self.shared: dict[str, list[str]] = tables["shared"]
        self.nothing: dict[str, list[str]] = tables["nothing"]
        self.frames: dict[str, list[str]] = tables["frames"]
        self.classes: dict[str, dict[str, list[str]]] = tables["classes"]

    def pick(self, options: Sequence[Any]) -> Any:
        return options[int(self.rng.random() * len(options))]

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        return [items[index] for index in self.rng.permutation(len(items))]

    def write(self, phrase: str) -> str:
        """A phrase with every choice made and every reference followed, those of unchosen parts not."""
        while True:
            if found := CHOICE.search(phrase):
                text = self.pick(found[1].split("|"))
            elif found := REFERENCE.search(phrase):
                text = self.name() if found[1] == "name" else self.pick(self.shared[found[1]])
            else:
                return phrase
            phrase = phrase[: found.start()] + text + phrase[found.end() :]

    def use(self, table: str) -> str:
        return self.write(self.pick(self.shared[table]))

    def of(self, name: str, kind: str) -> str:
        """A phrase of a class."""
        return self.write(self.pick(self.classes[name][kind]))

    def name(self) -> str:
        syllables = self.pick((1, 1, 2, 2, 2, 3))
        return "".join(self.pick(ONSETS) + self.pick(VOWELS) + self.pick(CODAS) for _ in range(syllables))

    def joined(self, parts: Sequence[str]) -> str:
        """Parts in a row: mostly one kind of link throughout, before the last perhaps another one."""
        if len(parts) < 2:
            return "".join(parts)
        links = self.pick((", ", self.pick(self.shared["and"]))), self.pick(self.shared["and"])
        opening = "both " if len(parts) == 2 and self.chance(0.03) else ""
        return opening + links[0].join(parts[:-1]) + links[1] + parts[-1]

    def thing(self, name: str, determiner: str = "") -> str:
        own = f"{name} artifacts" if self.chance(0.03) else name if self.chance(0.05) else self.of(name, "things")
        return f"{determiner} {own}" if determiner else own

    # What is asked for, for one or several classes at once.

    def orders(self, names: Sequence[str]) -> str:
        """please denoise it and remove the fog"""
        parts = [
            self.of(name, "do") if self.chance(0.6) else f"{self.use('remove')} {self.thing(name, self.use('the'))}"
            for name in names
        ]
        return self.asked(self.joined(parts))

    def removal(self, names: Sequence[str]) -> str:
        """could you get rid of the rain and the grain"""
        things = self.joined([self.thing(name, self.use("the")) for name in names])
        return self.asked(f"{self.use('remove')} {things} {self.use('where') if self.chance(0.3) else ''}")

    def remarks(self, names: Sequence[str]) -> str:
        """there is a lot of fog, noise in the sky"""
        things = self.joined([self.thing(name) for name in names])
        kind = self.rng.random()
        if kind < 0.2:
            return f"{self.use('the')} {things} {self.use('ruins')}"
        if kind < 0.3:
            return f"{self.pick(('i want', 'get', 'make', ''))} {self.use('the')} {things} {self.use('gone')}"
        return f"{self.use('has')} {things} {self.use('where')}"

    def likeness(self, names: Sequence[str]) -> str:
        """the picture is too dark and blurry"""
        likes = [self.of(name, "like") for name in names]
        if self.chance(0.15):
            return f"{self.pick(('a', 'my', 'this', ''))} {', '.join(likes)} {self.use('photo')}"
        if self.chance(0.1):
            return f"why is {self.use('it')} {self.joined(likes)}"
        return f"{self.use('it')} {self.use('is')} {self.joined(likes)}"

    def wishes(self, names: Sequence[str]) -> str:
        """make it brighter, sharper and less noisy"""
        opening = f"{self.use('polite')} {self.use('wish')}" if self.chance(0.85) else ""
        return f"{opening} {self.joined([self.of(name, 'wish') for name in names])}"

    def lacks(self, names: Sequence[str]) -> str:
        """it is not sharp, not well lit"""
        return self.joined([f"{self.use('lacks')} {self.of(name, 'lack')}" for name in names])

    def needs(self, names: Sequence[str]) -> str:
        """this one needs deblurring + more light"""
        return f"{self.use('needs')} {self.joined([self.of(name, 'nouns') for name in names])}"

    def stories(self, names: Sequence[str]) -> str:
        """it was pouring when I took this and my hands shook"""
        return self.joined([self.of(name, "story") for name in names])

    def telegram(self, names: Sequence[str]) -> str:
        """dark, rain, high iso"""
        kinds = self.pick(
            (("things",), ("like",), ("nouns",), ("do",), ("wish",), ("things", "like", "story", "wish", "do"))
        )
        opening = "no " if kinds == ("things",) and self.chance(0.15) else ""
        return opening + self.joined([self.of(name, self.pick(kinds)) for name in names])

    def template(self, names: Sequence[str]) -> str:
        """The detector's sentences, and bare names."""
        if self.chance(0.4):
            return self.pick((",", ", ", " + ", " ", " and ", "/")).join(names)
        return self.joined([prompt(name) for name in names]) if self.chance(0.5) else prompt(self.joined(names))

    def mixed(self, names: Sequence[str]) -> str:
        """Each class in a clause of its own kind."""
        kinds = (
            self.orders,
            self.removal,
            self.remarks,
            self.likeness,
            self.wishes,
            self.lacks,
            self.needs,
            self.stories,
        )
        return self.joined([self.pick(kinds)([name]) for name in names])

    def asked(self, order: str) -> str:
        return f"{self.use('polite')} {order} {self.use('thanks') if self.chance(0.4) else ''}"

    def asking(self, names: Sequence[str]) -> str:
        """A sentence that means these classes, at least one."""
        kinds: tuple[Callable[[Sequence[str]], str], ...] = (
            *(
                self.orders,
                self.orders,
                self.removal,
                self.removal,
                self.remarks,
                self.remarks,
                self.likeness,
                self.likeness,
            ),
            *(
                self.wishes,
                self.wishes,
                self.needs,
                self.stories,
                self.stories,
                self.telegram,
                self.telegram,
                self.lacks,
            ),
            *(self.mixed, self.mixed, self.template),
        )
        return self.pick(kinds)(names)

    # What is not asked for.

    def kept(self, name: str) -> str:
        """A thing that shall stay."""
        thing = f"{self.use('keep_the')} {self.of(name, 'mood') if self.chance(0.3) else self.thing(name)}"
        return self.pick((f"{self.use('keep')} {thing} {self.use('as_is')}", f"{thing} {self.use('stays')}"))

    def denied(self, name: str) -> str:
        """Something that is not the case, or not to be done."""
        kind = self.pick(("like", "like", "like", "do", "do", "do", "there", "there", "no", "enough", "enough"))
        if kind == "enough":
            return f"{self.use('enough')} {self.of(name, 'lack')}{self.pick(('', '', ' enough', ' already'))}"
        if kind == "like":
            return f"{self.use('not')} {self.of(name, 'like')}"
        if kind == "do":
            remove = f"{self.use('remove')} {self.thing(name, self.use('the'))}"
            return f"{self.use('dont')} {self.of(name, 'do') if self.chance(0.5) else remove}"
        if kind == "there":
            return f"there {self.pick(('is', 'was'))} {self.pick(('no', 'not any', 'never any'))} {self.thing(name)}"
        return f"no {self.of(name, 'nouns')}"

    def unwanted(self, name: str) -> str:
        return self.denied(name) if self.chance(0.45) else self.kept(name)

    def apart_from(self, names: Sequence[str], meant: Sequence[str], text: str) -> str:
        """The sentence with classes in it that it does not mean."""
        if self.chance(0.12):
            return self.contrast(names, meant)
        kind = self.pick(("thing", "thing", "thing", "harm", "harm", "harm", "like", "undo", *("stay",) * 7))
        parts = {
            "thing": lambda name: self.thing(name, self.use("keep_the")),
            "harm": lambda name: self.of(name, "harm"),
            "like": lambda name: self.of(name, "like"),
            "undo": lambda name: self.of(name, "undo"),
            "stay": self.unwanted,
        }
        frame = self.write(self.pick(self.frames[kind]))
        return frame.format(rest=self.joined([parts[kind](name) for name in names]), text=text)

    def contrast(self, names: Sequence[str], meant: Sequence[str]) -> str:
        """not noisy but blurry; the problem is not the fog, it is the snow"""
        if self.chance(0.5):
            denied, instead = ([self.of(name, "like") for name in each] for each in (names, meant))
            opening = self.use("not")
        else:
            denied, instead = ([self.thing(name, self.use("keep_the")) for name in each] for each in (names, meant))
            opening = self.use("not_that")
        return f"{opening} {self.joined(denied)}{self.use('instead')}{self.joined(instead)}"

    def idle(self, others: Sequence[str]) -> str:
        """A sentence that means none of the classes."""
        kind = self.rng.random()
        if kind < 0.25:
            return self.write(self.pick(self.nothing["say"]))
        if kind < 0.45:
            return self.asked(f"{self.use('remove')} {self.write(self.pick(self.nothing['remove']))}")
        if kind < 0.65:
            return self.asked(self.write(self.pick(self.nothing["ask"])))
        if kind < 0.83:
            return self.asked(self.of(others[0], "undo"))
        if kind < 0.95:
            return self.joined([self.unwanted(name) for name in others[: self.pick((1, 1, 2))]])
        return " ".join(self.name() for _ in range(self.pick((1, 2, 3, 5))))

    def mistyped(self, text: str) -> str:
        """With a slip in a word or two."""
        words = text.split(" ")
        long = [index for index, word in enumerate(words) if len(word) > 3 and word.isalpha()]
        for index in self.shuffled(long)[: self.pick((1, 1, 2))] if long else ():
            word = words[index]
            at = 1 + int(self.rng.random() * (len(word) - 2))
            words[index] = self.pick(
                (
                    word[:at] + word[at + 1] + word[at] + word[at + 2 :],
                    word[:at] + word[at + 1 :],
                    word[:at] + word[at] + word[at:],
                    word[:at] + self.pick("aeiousnrt") + word[at + 1 :],
                )
            )
        return " ".join(words)


def sentence(rng: np.random.Generator, classes: Sequence[str] = UNDERSTOOD) -> tuple[str, tuple[str, ...]]:
    """One sentence and the classes that it asks to be removed, in the order of `classes`; () for none.

    classes: what it may mean, of `UNDERSTOOD`. Drawn from `rng` alone: the same generator state, the same sentence.
    Mostly lower case, as the tokeniser makes it anyway.
    """
    writer = _Writer(rng)
    order = writer.shuffled(classes)
    count = min(int(rng.choice(len(HOW_MANY), p=HOW_MANY)), len(order))
    meant, others = order[:count], order[count:]
    text = writer.asking(meant) if meant else writer.idle(others)
    if meant and others and writer.chance(0.4):
        text = writer.apart_from(others[: writer.pick((1, 1, 1, 2))], meant, text)
    if writer.chance(0.2):
        text = f"{text}{writer.pick((' ', '. ', ', '))}{writer.use('filler')}"
    if writer.chance(0.15):
        text = f"{writer.use('filler')}{writer.pick((', ', '. ', ': ', ' but ', ' and ', ' '))}{text}"
    text = " ".join(text.split())
    if writer.chance(TYPING_ERRORS):
        text = writer.mistyped(text)
    return text, tuple(name for name in classes if name in meant)
