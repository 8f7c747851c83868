"""A CLIP tokenizer of whole words, made from a list of them.

CLIP's tokenizer pairs byte by byte (Sennrich et al., 2016): a word is split into letters, the last
one marked as an end, and the pair with the lowest rank is merged until no pair has a rank. Here
the ranks are written so that every listed word ends as one token: for one word after the other,
the first two pieces that are left get the next rank. A later rank never undoes an earlier word,
because a pair of lower rank is always merged first.

Words that are not in the list fall apart into smaller pieces, and letters that are in none become
the end token, which is how CLIP's tokenizer treats what it does not know.
"""

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from equipoise.errors import BadInputError

END_OF_WORD = "</w>"
SPECIAL = ("<|startoftext|>", "<|endoftext|>")
Ranks = dict[tuple[str, str], int]


def build_word_tokenizer(words: Sequence[str], *, max_length: int) -> Any:  # noqa: ANN401 - transformers is optional
    """Build a `CLIPTokenizer` in which every word is one token.

    Args:
        words: Lower-case words or punctuation marks, each of letters alone or of marks alone.
        max_length: Tokens of a caption with its start and its end.

    Raises:
        BadInputError: when transformers is missing.
    """
    try:
        from transformers import CLIPTokenizer
    except ImportError as error:
        raise BadInputError(
            'A tokenizer needs transformers: pip install "equipoise[diffusers]".'
        ) from error
    with TemporaryDirectory() as folder:
        files = write_vocabulary(words, Path(folder))
        return CLIPTokenizer(*map(str, files), model_max_length=max_length)


def write_vocabulary(words: Sequence[str], folder: Path) -> tuple[Path, Path]:
    """Write `vocab.json` and `merges.txt`, which every release of transformers opens."""
    ranks = rank_merges(words)
    letters = sorted({letter for word in words for letter in word})
    tokens = [*letters, *(letter + END_OF_WORD for letter in letters)]
    tokens += ["".join(pair) for pair in ranks]
    vocabulary = {token: k for k, token in enumerate(dict.fromkeys([*tokens, *SPECIAL]))}
    merges = ["#version: 0.2", *(" ".join(pair) for pair in ranks)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(merges) + "\n", encoding="utf-8")
    return folder / "vocab.json", folder / "merges.txt"


def rank_merges(words: Sequence[str]) -> Ranks:
    """Rank pairs of pieces, in order, so that every word is merged into one token."""
    ranks: Ranks = {}
    for word in words:
        while len(pieces := merge_pieces(word, ranks)) > 1:
            ranks[pieces[0], pieces[1]] = len(ranks)
    return ranks


def merge_pieces(word: str, ranks: Ranks) -> list[str]:
    """Split a word into letters and merge the pair of lowest rank until none has one."""
    pieces = [*word[:-1], word[-1] + END_OF_WORD]
    while len(pieces) > 1:
        best = min(pairwise(pieces), key=lambda pair: ranks.get(pair, math.inf))
        if best not in ranks:
            break
        k = list(pairwise(pieces)).index(best)
        pieces[k : k + 2] = ["".join(best)]
    return pieces
