"""Reading text in pictures, on this machine and nowhere else: rapidocr on onnxruntime, its models inside the wheel.

The engine holds 0.5 to 1 GB once it has read, so only the process of the queue `ocr` ever calls `read`; making the client
costs nothing. Whoever runs the portal without the packages, or with OCR=off, gets `NotInstalled` and people type instead.
"""

from __future__ import annotations

import importlib.util
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.gateways.errors import GatewayError

_PACKAGES = ("rapidocr", "onnxruntime", "cv2")
_DETECT, _RECOGNISE = "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"
# Sides in pixels: more makes it slower and larger, and reads our licences no better.
_LOOK_SIDE, _READ_SIDE = 1280, 2000
MOST_PIXELS = 25_000_000


class NotInstalled(GatewayError):
    """There is no engine here: the packages are missing, or the setting leaves it out."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, permanent=True, code="not-installed")


@dataclass(frozen=True)
class Line:
    """A line of text as it stands in the picture: its four corners, clockwise from the top left, in pixels."""

    text: str
    box: tuple[tuple[float, float], ...]
    confidence: float


class LicenceReader:
    """One engine for a process, made when first needed."""

    def __init__(self, switch: str = "on") -> None:
        self.enabled = switch == "on"
        self._engine: Any = None
        self._making = threading.Lock()

    @property
    def loaded(self) -> bool:
        """Whether the engine is in memory."""
        return self._engine is not None

    def read(self, jpeg: bytes, quarter_turns: int = 0) -> list[Line]:
        """The lines of a picture, turned clockwise first. Raises `NotInstalled`; `GatewayError`, permanent for what is no
        picture, passing for whatever else the engine stumbles over."""
        engine = self.engine()
        picture = _decoded(jpeg, quarter_turns)
        try:
            found = engine(picture)
        except Exception as error:  # the engine's own, onnxruntime's and OpenCV's have nothing in common
            raise GatewayError(f"the engine could not read: {type(error).__name__}: {error}"[:300], permanent=False) from error
        if found.txts is None:
            return []
        return [Line(str(text), tuple((float(x), float(y)) for x, y in box), float(score))
                for text, box, score in zip(found.txts, found.boxes, found.scores, strict=True)]

    def engine(self) -> Any:
        """The engine itself, loaded at the first call. Raises `NotInstalled`."""
        if not self.enabled:
            raise NotInstalled("OCR=off")
        with self._making:
            if self._engine is None:
                self._engine = _make()
        return self._engine


def _make() -> Any:
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise NotInstalled(f"not installed: {', '.join(missing)}")
    try:
        from rapidocr import RapidOCR
    except ImportError as error:  # a system library that is missing, say
        raise NotInstalled(f"cannot be loaded: {error}"[:300]) from error
    import rapidocr

    models = Path(rapidocr.__file__).parent / "models"
    for name in (_DETECT, _RECOGNISE):
        if not (models / name).is_file():  # it would be fetched from the network otherwise, and we never do
            raise NotInstalled(f"rapidocr is installed without its model {name}")
    return RapidOCR(params={
        "Global.log_level": "error", "Global.use_cls": False, "Global.max_side_len": _READ_SIDE,
        "Det.model_path": str(models / _DETECT), "Det.limit_type": "max", "Det.limit_side_len": _LOOK_SIDE,
        "Rec.model_path": str(models / _RECOGNISE),
    })


def _decoded(jpeg: bytes, quarter_turns: int) -> Any:
    """The picture as OpenCV wants it. Its size is read before its pixels are."""
    import io

    import cv2
    import numpy
    from PIL import Image

    try:
        with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as head:
            size = head.width * head.height
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise GatewayError(f"no picture: {type(error).__name__}", permanent=True, code="picture") from error
    if size > MOST_PIXELS:
        raise GatewayError(f"{size} pixels are too many", permanent=True, code="picture")
    picture = cv2.imdecode(numpy.frombuffer(jpeg, numpy.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise GatewayError("the picture cannot be decoded", permanent=True, code="picture")
    return numpy.ascontiguousarray(numpy.rot90(picture, -quarter_turns))
