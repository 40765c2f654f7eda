"""argv: memory in MB, seconds of processor time, a directory with main.typ, its data and fonts/, and the names of data files,
data.json where none is given. stdout: for each of them a PDF, its length in 8 bytes before it.

A template that does not compile ends with the compiler's words on stderr and exit code 3.
"""

import resource
import sys

import typst

memory_mb, seconds, directory = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
# Typst works on all processors at once: their seconds add up.
resource.setrlimit(resource.RLIMIT_CPU, (seconds * 8, seconds * 8))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[directory + "/fonts"])
for data in sys.argv[4:] or ["data.json"]:
    try:
        pdf = typst.compile(directory + "/main.typ", root=directory, font_paths=fonts, format="pdf", sys_inputs={"data": data})
    except typst.TypstError as error:
        print(error.diagnostic or error.message, file=sys.stderr)
        sys.exit(3)
    sys.stdout.buffer.write(len(pdf).to_bytes(8, "big") + pdf)
