"""Keep Pillow's warnings about odd metadata to itself while any thread is reading.

`warnings.catch_warnings` swaps the filters of the whole process: of two threads that leave it out
of turn, one restores the other's. Here a single filter, for Pillow's modules only, is put in front
while at least one thread reads, counted under a lock, and taken out after the last; nobody's other
filters are touched. The list is changed in place, because the functions of `warnings` would also
forget which warnings of other code were shown already.
"""

import logging
import re
import threading
import warnings
from typing import Any, cast


class Silence:
    """Counts the threads that read; while there is one, the filter is in front."""

    # No one else writes the pattern so: taking this filter out takes out no one else's.
    _FILTER = ("ignore", None, Warning, re.compile(r"(?:PIL)\."), 0)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        # Without any handler, logging would print Pillow's records on standard error.
        logging.getLogger("PIL").addHandler(logging.NullHandler())

    def __enter__(self) -> None:
        with self._lock:
            self._readers += 1
            # Looked for every time: catch_warnings elsewhere may have taken it along.
            if not (filters := self._filters()) or filters[0] != self._FILTER:
                self._take_out()
                filters.insert(0, self._FILTER)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                self._take_out()

    def _take_out(self) -> None:
        filters = self._filters()
        while self._FILTER in filters:
            filters.remove(self._FILTER)

    @staticmethod
    def _filters() -> list[Any]:
        return cast("list[Any]", warnings.filters)


SILENCE = Silence()
