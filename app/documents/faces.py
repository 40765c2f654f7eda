"""How many faces a portrait shows, as far as a Haar cascade can tell (OpenCV's frontal alt2): about 4 ms, and wrong now and then,
so that it may warn and never refuse."""

from __future__ import annotations

import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

# The longer side the picture is looked at with, in pixels, and the least side of a face.
_LOOK, _LEAST = 400, 60
_one_at_a_time = threading.local()


@lru_cache
def _cascade_file() -> str | None:
    """The cascade's file; None where OpenCV is not installed or came without it."""
    try:
        import cv2
    except ImportError:
        return None
    path = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_alt2.xml"
    return str(path) if path.is_file() else None


def count_faces(jpeg: bytes) -> int | None:
    """The faces on a picture that `clean_jpeg` made; None where nobody can tell."""
    if (path := _cascade_file()) is None:
        return None
    import cv2
    import numpy

    picture = cv2.imdecode(numpy.frombuffer(jpeg, numpy.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_2 if len(jpeg) > 60_000
                           else cv2.IMREAD_GRAYSCALE)
    if picture is None:
        return None
    longer = max(picture.shape)
    if longer > _LOOK:
        picture = cv2.resize(picture, None, fx=_LOOK / longer, fy=_LOOK / longer, interpolation=cv2.INTER_AREA)
    cascade: Any = getattr(_one_at_a_time, "cascade", None)
    if cascade is None:  # a cascade is not shared between threads
        cascade = _one_at_a_time.cascade = cv2.CascadeClassifier(path)
    return len(cascade.detectMultiScale(picture, 1.1, 4, minSize=(_LEAST, _LEAST)))
