import pytest
from pydantic import ValidationError

from equipoise.detection import Look, Spikiness


def test_a_look_reads_back_and_needs_a_spread():
    detector = Spikiness(sites=("a:in",), sigma=0.1, draws=2)
    look = Look(detector=detector, mean=1.0, std=2.0)
    assert Look.model_validate_json(look.model_dump_json()) == look
    with pytest.raises(ValidationError):
        Look(detector=detector, mean=1.0, std=0.0)
