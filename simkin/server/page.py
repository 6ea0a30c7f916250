"""The gallery's page and its files."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, FastAPI, Response
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

GALLERY = Path(__file__).resolve().parent / "gallery"
"""``index.html`` and what it loads from ``/static/``."""

router = APIRouter(include_in_schema=False)


@router.get("/")
async def index() -> Response:
    """The gallery."""
    return FileResponse(GALLERY / "index.html", headers={"Cache-Control": "no-cache"}, media_type="text/html")


@router.get("/favicon.ico")
async def favicon() -> Response:
    """None."""
    return Response(status_code=204, headers={"Cache-Control": "max-age=86400"})


class _Files(StaticFiles):
    def file_response(self, *args: object, **kwargs: object) -> Response:
        response: Response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "no-cache"  # asked about each time, sent only when it changed
        return response


def mount_gallery(app: FastAPI) -> None:
    """Serve the gallery."""
    app.include_router(router)
    app.mount("/static", _Files(directory=GALLERY), name="static")
