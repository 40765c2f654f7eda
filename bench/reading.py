"""`ocr`: drawn business licences, photographed badly (turned up to five degrees, noise, JPEG of 65 to 75), read one by one.

Ours: what the job does with a picture: decoding, the engine, the parser. The first picture, for which the engine is loaded, is
not among those that count.
Floor: the same engine only finds where text stands on the same pictures, and reads none of it.
Counts: pictures, median seconds of a picture, the seconds of the first, and the share of codes, names and addresses that
were right to the character. A code is right or known to be wrong: `uscc_undetected` counts wrong ones taken for right.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.measure import Counts, Options, Pair, Subject

PICTURES = 30


@contextmanager
def prepare(folder: Path, options: Options) -> Iterator[Pair]:
    """The pictures, drawn once from their numbers."""
    import subprocess
    import sys

    pictures = options.size or PICTURES
    # In a process of its own: what drawing holds is not what reading holds.
    program = ("import sys; from pathlib import Path; from tests.licences import invent, photograph, shot_of\n"
               "for n in range(int(sys.argv[2])): Path(sys.argv[1], f'{n}.jpg').write_bytes(photograph(invent(n), shot_of(n)))")
    subprocess.run([sys.executable, "-c", program, str(folder), str(pictures)], check=True)
    yield Pair(lambda: _ours(folder, pictures), lambda: _floor(folder, pictures), {"pictures": pictures})


def _ours(folder: Path, pictures: int) -> tuple[float, Counts]:
    from app.documents.licence import fields
    from app.gateways.ocr import LicenceReader
    from app.operations.readings import right_uscc
    from tests.licences import invent, printed

    reader = LicenceReader()
    began = time.perf_counter()
    reader.read((folder / "0.jpg").read_bytes())
    first = time.perf_counter() - began
    took, right, undetected = [], dict.fromkeys(("uscc", "name", "address"), 0), 0
    for n in range(pictures):
        data = (folder / f"{n}.jpg").read_bytes()
        began = time.perf_counter()
        found = fields(reader.read(data), right_uscc)
        took.append(time.perf_counter() - began)
        truth = printed(invent(n))
        for name in right:
            right[name] += name in found and found[name].value == truth[name]
        code = found.get("uscc")
        undetected += code is not None and not code.suspect and code.value != truth["uscc"]
    median = statistics.median(took)
    counts: Counts = {f"{name}_right": round(count / pictures, 4) for name, count in right.items()}
    return median, {"s_per_picture": round(median, 3), "first_s": round(first, 3), **counts, "uscc_undetected": undetected}


def _floor(folder: Path, pictures: int) -> tuple[float, Counts]:
    import cv2

    from app.gateways.ocr import LicenceReader

    engine = LicenceReader().engine()
    engine(cv2.imread(str(folder / "0.jpg")), use_rec=False)
    took = []
    for n in range(pictures):
        began = time.perf_counter()
        engine(cv2.imread(str(folder / f"{n}.jpg")), use_rec=False)
        took.append(time.perf_counter() - began)
    return statistics.median(took), {}


SUBJECT = Subject("ocr", prepare)
