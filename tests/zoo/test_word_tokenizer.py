import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.zoo.caption import list_words, write_caption
from equipoise.zoo.scene import Attributes
from equipoise.zoo.word_tokenizer import (
    build_word_tokenizer,
    merge_pieces,
    rank_merges,
    write_vocabulary,
)

WORDS = st.lists(st.text("abc", min_size=1, max_size=8), min_size=1, max_size=12)


@settings(deadline=None)
@given(WORDS)
def test_every_word_becomes_one_piece_whatever_comes_after_it(words):
    ranks = rank_merges(words)
    assert [merge_pieces(word, ranks) for word in words] == [[word + "</w>"] for word in words]


def test_a_word_that_is_not_listed_keeps_all_its_letters():
    pieces = merge_pieces("abcab", rank_merges(["ab", "cab"]))
    assert "".join(pieces) == "abcab</w>"
    assert len(pieces) > 1


@settings(deadline=None, max_examples=10)
@given(WORDS)
def test_the_tokenizer_of_transformers_agrees(words):
    """Its own merging, of the Rust library, leads to the same tokens."""
    tokenizer = build_word_tokenizer(words, max_length=16)
    for word in words:
        assert tokenizer.tokenize(word) == [word + "</w>"]


def test_captions_keep_every_word_and_fill_the_length():
    tokenizer = build_word_tokenizer(list_words(), max_length=16)
    caption = write_caption(Attributes("grapes", "google", "blue", "small", "bottom left"))
    ids = tokenizer(caption, padding="max_length", max_length=16, truncation=True).input_ids
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    assert ids[0] == start
    assert ids[12:] == [end] * 4
    assert tokenizer.convert_ids_to_tokens(ids[1:12]) == [
        f"{word}</w>" for word in "a small google grapes , bottom left , on blue".split()
    ] + [end_token(tokenizer)]
    assert all(len(tokenizer.tokenize(word)) == 1 for word in list_words())


def end_token(tokenizer):
    return tokenizer.convert_ids_to_tokens(tokenizer.eos_token_id)


def test_the_files_hold_every_token_once(tmp_path):
    import json

    vocabulary, merges = write_vocabulary(["on", "one"], tmp_path)
    tokens = json.loads(vocabulary.read_text())
    assert sorted(tokens.values()) == list(range(len(tokens)))
    assert {"on</w>", "one</w>", "<|startoftext|>", "<|endoftext|>"} <= set(tokens)
    assert merges.read_text().splitlines() == ["#version: 0.2", "o n</w>", "o n", "on e</w>"]


def test_without_transformers_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(ValueError, match=r"equipoise\[diffusers\]"):
        build_word_tokenizer(["a"], max_length=4)
