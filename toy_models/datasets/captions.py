"""Captions as fixed numbers of token ids, with the words that a vocabulary knows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bounds.errors import InputError

#: What is not a word: an unknown word, what follows the end, the end.
SPECIAL = ("<unknown>", "<pad>", "<end>")
UNKNOWN, PAD, END = range(3)

_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*|[^\w\s]")


def words_of(caption: str) -> list[str]:
    """Lower-case words and punctuation marks.

    >>> words_of("This bird's beak is long, and blue-grey.")
    ['this', "bird's", 'beak', 'is', 'long', ',', 'and', 'blue-grey', '.']
    """
    return _WORD.findall(caption.lower())


@dataclass(frozen=True)
class Vocabulary:
    """Words with ids: first :data:`SPECIAL`, then the rest, the most frequent first.

    Raises:
        InputError: words that do not begin with the special ones, or of which some come twice.
    """

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.words[: len(SPECIAL)] != SPECIAL or len(set(self.words)) < len(self.words):
            raise InputError(f"a vocabulary begins with {', '.join(SPECIAL)} and names every word once")

    @classmethod
    def of(cls, captions: Iterable[str], at_least: int = 1) -> Vocabulary:
        """The words that occur ``at_least`` so many times; equally frequent ones in alphabetical order."""
        counts = Counter(word for caption in captions for word in words_of(caption))
        kept = sorted((word for word in counts if counts[word] >= at_least), key=lambda word: (-counts[word], word))
        return cls((*SPECIAL, *kept))

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words)}

    def encode(self, captions: Sequence[str], length: int) -> np.ndarray:
        """``(N, length)`` int64 ids: words, cut off where there are too many, then the end, then padding.

        Raises:
            InputError: a length without room for a word and the end.

        >>> Vocabulary.of(["a red bird"]).encode(["a blue bird"], 5)
        array([[3, 0, 4, 2, 1]])
        """
        if length < 2:
            raise InputError(f"length={length}: give at least 2, for a word and the end")
        ids = np.full((len(captions), length), PAD, dtype=np.int64)
        for row, caption in zip(ids, captions, strict=True):
            known = [self._ids.get(word, UNKNOWN) for word in words_of(caption)[: length - 1]]
            row[: len(known) + 1] = [*known, END]
        return ids

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """The words up to the end, joined by spaces."""
        listed = [int(i) for i in ids]
        stop = listed.index(END) if END in listed else len(listed)
        return " ".join(self.words[i] for i in listed[:stop] if i != PAD)
