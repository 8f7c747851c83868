from equipoise.bench.wording import PromptBaseline


def test_words_are_counted_and_capitals_among_them():
    prompts = ["Shaw Floors carpet", "a dog", ""]
    found = {
        name: PromptBaseline(statistic=name).score_prompts(prompts)
        for name in ("caption_length", "capitalised_share")
    }
    assert found["caption_length"].values.tolist() == [3, 2, 0]
    assert found["capitalised_share"].values.tolist() == [2 / 3, 0, 0]
    assert found["caption_length"].evaluations == 0
