"""The application for tools that want a module, such as the `flask` command."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from app import create_app
from config import load

app = create_app(load())
