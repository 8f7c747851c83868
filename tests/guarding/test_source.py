from equipoise.guarding.sampler import SamplerSource
from equipoise.guarding.source import Request, Source


def test_the_samplers_of_this_package_are_a_source(subject):
    source = SamplerSource(subject)
    assert isinstance(source, Source)
    assert isinstance(source.ask(["a"], seed=1)[0], Request)
    assert not isinstance(subject, Source)
