"""Stored files: one scoped route for every picture and paper."""

from __future__ import annotations

from typing import Any

from app import files
from models import StoredFile
from views.base import PortalView, download, page


class FileView(PortalView):
    """A stored file, to those who may see the row it belongs to."""

    route_base = "/files"
    default_view = "show"

    @page("/<int:file_id>", "show")
    def show(self, file_id: int) -> Any:
        stored = self.fetch(StoredFile, file_id)
        return download(files.read(stored), stored.name, stored.content_type, inline=stored.content_type == files.JPEG)
