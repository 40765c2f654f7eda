"""Stored files: one scoped route for every picture and paper."""

from __future__ import annotations

from typing import Any

from flask import make_response, request

from app import files
from app.documents.pictures import thumbnail
from app.errors import NotFound
from models import StoredFile
from views.base import PortalView, download, page

# The longer side in pixels, for twice the density of a card.
THUMB = 240


class FileView(PortalView):
    """A stored file, to those who may see the row it belongs to."""

    route_base = "/files"
    default_view = "show"

    @page("/<int:file_id>", "show")
    def show(self, file_id: int) -> Any:
        stored = self.fetch(StoredFile, file_id)
        return download(files.read(stored), stored.name, stored.content_type, inline=stored.content_type == files.JPEG)

    @page("/<int:file_id>/thumb", "show")
    def thumb(self, file_id: int) -> Any:
        """A photo small, for a list. What lies under an id never changes: the person's own browser may keep it, nobody between."""
        stored = self.fetch(StoredFile, file_id)
        if stored.content_type != files.JPEG:
            raise NotFound("")
        answer = make_response()
        answer.set_etag(f"thumb-{file_id}")
        answer.headers["Cache-Control"] = "private, max-age=86400"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        if not request.if_none_match.contains(f"thumb-{file_id}"):
            answer.data, answer.mimetype = thumbnail(files.read(stored), THUMB), files.JPEG
        return answer.make_conditional(request)
