import threading
import warnings

import pytest

from equipoise.images.silence import SILENCE


def warn(module):
    warnings.warn_explicit("odd", UserWarning, "file.py", 1, module=module)


def test_only_what_pillow_says_is_kept_in_and_only_meanwhile():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        with SILENCE:
            warn("PIL.TiffImagePlugin")
            warn("PILLOW_of_another")
            with SILENCE:
                warn("PIL.Image")
            warn("PIL.Image")  # one reader is left
        assert warnings.filters == before
        warn("PIL.Image")
    assert len(caught) == 2


def test_it_holds_while_any_of_several_threads_reads():
    entered, left = threading.Event(), threading.Event()

    def read():
        with SILENCE:
            entered.set()
            left.wait()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        thread = threading.Thread(target=read)
        thread.start()
        entered.wait()
        with SILENCE:
            pass
        warn("PIL.Image")
        with pytest.raises(UserWarning, match="odd"):
            warn("equipoise.images")
        left.set()
        thread.join()
        assert warnings.filters == before
