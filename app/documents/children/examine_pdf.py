"""argv: memory in MB, seconds of processor time. stdin: a PDF. stdout: JSON of what its signature says (`signing.Verdict`).

Trust is not judged here: a signature by anybody's key may be right in itself.
"""

import io
import json
import logging
import resource
import sys

memory_mb, seconds = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

from pyhanko.pdf_utils.misc import PdfError  # noqa: E402
from pyhanko.pdf_utils.reader import PdfFileReader  # noqa: E402
from pyhanko.sign.diff_analysis import ModificationLevel  # noqa: E402
from pyhanko.sign.validation import SignatureCoverageLevel, validate_pdf_signature  # noqa: E402
from pyhanko_certvalidator import ValidationContext  # noqa: E402

logging.disable(logging.CRITICAL)  # an unknown signer is no news here


def examined(data):
    reader = PdfFileReader(io.BytesIO(data))
    signatures = reader.embedded_regular_signatures
    if not signatures:
        return {"state": "unsigned"}
    # One that was added above ours is judged as a change of what ours says.
    first = signatures[0]
    status = validate_pdf_signature(first, ValidationContext(trust_roots=[first.signer_cert], allow_fetching=False))
    if not (status.intact and status.valid):
        return {"state": "changed"}
    whole = (len(signatures) == 1 and status.coverage == SignatureCoverageLevel.ENTIRE_FILE
             and status.modification_level == ModificationLevel.NONE)
    stamp = status.timestamp_validity
    return {
        "state": "untouched" if whole else "changed", "fingerprint": first.signer_cert.sha256.hex(),
        "number": str(first.sig_object.get("/Reason", ""))[:40],
        "signed_at": status.signer_reported_dt.isoformat() if status.signer_reported_dt else "",
        "timestamped": stamp.timestamp.isoformat() if stamp is not None and stamp.intact and stamp.valid else "",
    }


try:
    found = examined(sys.stdin.buffer.read())
except (PdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
    # A signed file that was changed may no longer be taken apart at all.
    found = {"state": "unreadable"}
except Exception as error:
    found = {"state": "changed" if "sign" in type(error).__module__ else "unreadable"}
print(json.dumps(found))
