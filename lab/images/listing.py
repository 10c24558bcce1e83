"""A folder as Apache's mod_autoindex shows it."""

import html

PAGE = """<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">
<html>
 <head>
  <title>Index of {path}</title>
 </head>
 <body>
<h1>Index of {path}</h1>
  <table>
   <tr><th valign="top"><img src="/icons/blank.gif" alt="[ICO]"></th><th><a href="?C=N;O=D">Name</a></th>\
<th><a href="?C=M;O=A">Last modified</a></th><th><a href="?C=S;O=A">Size</a></th></tr>
   <tr><th colspan="4"><hr></th></tr>
<tr><td valign="top"><img src="/icons/back.gif" alt="[PARENTDIR]"></td><td><a href="{parent}">Parent Directory</a>\
</td><td>&nbsp;</td><td align="right">  - </td></tr>
{rows}   <tr><th colspan="4"><hr></th></tr>
</table>
<address>Apache/2.4.62 (Debian) Server</address>
</body></html>
"""
ROW = """<tr><td valign="top"><img src="/icons/{icon}.gif" alt="[{alt}]"></td><td><a href="{name}">{name}</a></td>\
<td align="right">2026-11-02 10:11  </td><td align="right">{size} </td></tr>
"""


def page(folder: str, sizes: dict[str, int | None]) -> str:
    """The page of `folder` ("/a/b/"); `sizes` by name, None for a folder, whose name ends in a slash."""
    rows = ""
    for name, size in sorted(sizes.items()):
        icon, alt = ("folder", "DIR") if size is None else ("unknown", "   ")
        shown = "  - " if size is None else f"{size / (1 << 20):.0f}M" if size >= 1 << 20 else str(size)
        rows += ROW.format(icon=icon, alt=alt, name=html.escape(name), size=shown)
    path = folder.rstrip("/") or "/"
    return PAGE.format(path=html.escape(path), parent=html.escape(path.rpartition("/")[0] + "/"), rows=rows)
