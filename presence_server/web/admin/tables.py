"""Tables that a browser saves as a file."""

from collections.abc import Sequence

from aiohttp import web

from presence_server.csv_text import csv_rows


async def begin_table(
    request: web.Request, filename: str, titles: Sequence[str]
) -> web.StreamResponse:
    """An answer to which rows are to be written, as csv_rows() makes them."""
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{filename}"',
        }
    )
    await response.prepare(request)
    # Excel takes a file without the mark for one in the letters of the machine's country.
    await response.write(b"\xef\xbb\xbf" + csv_rows([titles]))
    return response
