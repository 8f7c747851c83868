import pytest
import torch

from equipoise.denoisers.halves import Halves
from equipoise.errors import BadInputError
from equipoise.steering.guidance import check_guidance, choose_rows


def test_a_choice_of_half_means_its_rows():
    halves = Halves(torch.tensor([False, True]), doubled=True)
    chosen = {name: choose_rows(halves, name).tolist() for name in ("both", "cond", "uncond")}
    assert chosen == {"both": [True, True], "cond": [False, True], "uncond": [True, False]}


def test_a_half_of_a_model_without_conditions_is_refused():
    check_guidance("both", object(), None)
    with pytest.raises(BadInputError, match="takes no condition"):
        check_guidance("cond", object(), None)
    with pytest.raises(BadInputError, match="uncond"):
        check_guidance("left", object(), torch.tensor([9]))
