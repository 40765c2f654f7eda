"""argv: memory in MB, seconds of processor time, a directory with main.typ, its data and fonts/, "tagged" or "plain", and the names of data
files, data.json where none is given. stdout: for each of them a PDF, its length in 8 bytes before it.

A template that does not compile ends with the compiler's words on stderr and exit code 3. A template may be an administrator's:
it reads nothing outside the directory (the compiler's own rule), and on Linux the kernel gives this process no socket, so that no
package is fetched.
"""

import ctypes
import os
import platform
import resource
import struct
import sys

# Nowhere: what is fetched through a proxy fails at once where the kernel's rule is not at hand.
os.environ["HTTPS_PROXY"] = os.environ["HTTP_PROXY"] = os.environ["ALL_PROXY"] = "http://127.0.0.1:9"

import typst

SOCKET = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}


def without_sockets() -> None:
    """A seccomp filter: this architecture's socket() answers EACCES, everything else is allowed."""
    if sys.platform != "linux" or platform.machine() not in SOCKET:
        return
    architecture, number = SOCKET[platform.machine()]
    load, equal, answer, refuse, allow = 0x20, 0x15, 0x06, 0x00050000 | 13, 0x7FFF0000
    lines = [(load, 0, 0, 4), (equal, 0, 3, architecture), (load, 0, 0, 0), (equal, 0, 1, number), (answer, 0, 0, refuse),
             (answer, 0, 0, allow)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    program = struct.pack("HxxxxxxP", len(lines), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    libc.prctl(22, 2, ctypes.c_char_p(program), 0, 0)  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER



memory_mb, seconds, directory = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
# Typst works on all processors at once: their seconds add up.
resource.setrlimit(resource.RLIMIT_CPU, (seconds * 8, seconds * 8))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
without_sockets()

fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[directory + "/fonts"])
for data in sys.argv[5:] or ["data.json"]:
    try:
        pdf = typst.compile(directory + "/main.typ", root=directory, font_paths=fonts, format="pdf", sys_inputs={"data": data},
                            pdf_tags=sys.argv[4] == "tagged", package_path=directory + "/packages",
                            package_cache_path=directory + "/packages")
    except typst.TypstError as error:
        print(error.diagnostic or error.message, file=sys.stderr)
        sys.exit(3)
    sys.stdout.buffer.write(len(pdf).to_bytes(8, "big") + pdf)
