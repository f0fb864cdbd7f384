"""The reference of the API as a page on which calls can be tried; it needs no other host."""

from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

_ASSETS: Final = Path(str(files("fastapi_offline"))) / "static"
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}: API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
<style>
  body {{ margin: 0; background: #fbfcfd; }}
  .swagger-ui .wrapper {{ max-width: 1080px; }}
  .swagger-ui .info li, .swagger-ui .info p {{ font-size: 15px; line-height: 1.7; }}
  .swagger-ui .renderedMarkdown code {{ font-size: 13px; font-weight: 500; padding: 1px 4px;
    color: #0b63ce; }}
  .swagger-ui .info {{ margin: 2.5rem 0 1.5rem; }}
  .swagger-ui .info .title small {{ display: none; }}
  .swagger-ui .opblock-tag {{ font-size: 1.25rem; }}
  .swagger-ui .opblock .opblock-summary-description {{ text-align: left; }}
  .swagger-ui .scheme-container {{ box-shadow: none; background: none; padding: 0 0 1rem; }}
</style></head><body><div id="api"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script>
  SwaggerUIBundle({{
    url: "/openapi.json", dom_id: "#api", deepLinking: true, docExpansion: "none",
    defaultModelsExpandDepth: -1, persistAuthorization: true, tryItOutEnabled: true,
    displayRequestDuration: true, filter: true,
  }});
</script></body></html>
"""


def install(app: FastAPI) -> None:
    """Serve the reference at `/docs`; the root leads there."""
    page = HTMLResponse(_PAGE.format(title=app.title))

    async def docs(_request: Request) -> Response:
        return page

    async def root(_request: Request) -> Response:
        return RedirectResponse("/docs")

    app.router.routes.extend(
        [
            Route("/", root, include_in_schema=False),
            Route("/docs", docs, include_in_schema=False),
            Mount("/docs/assets", StaticFiles(directory=_ASSETS)),
        ]
    )
