"""What of a workbook reads as empty and is not: formulas whose result nobody has stored, and errors.

Part of the child program of `query_table`, so it imports nothing that takes long.
"""

__all__ = ["without_value"]

import re
from typing import BinaryIO
from zipfile import BadZipFile, ZipFile

MOST = 64 << 20  # bytes of all sheets that are looked at
_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml")
_FORMULA = rb'<c\b(?![^>]*\bt="str")[^>]*><f\b(?:[^>]*/>|[^>]*>[^<]*</f>)\s*(?:<v\s*/>|<v></v>)?</c>'
_ERROR = rb'<c\b[^>]*\bt="e"'


def without_value(workbook: BinaryIO) -> list[str]:
    """What is to be told of an .xlsx or .xlsm; nothing of any other."""
    formulas = errors = 0
    left = MOST
    try:
        with ZipFile(workbook) as book:
            for name in filter(_SHEET.fullmatch, book.namelist()):
                with book.open(name) as sheet:
                    content = sheet.read(left)
                left -= len(content)
                formulas += sum(1 for _ in re.finditer(_FORMULA, content))
                errors += sum(1 for _ in re.finditer(_ERROR, content))
    except (BadZipFile, NotImplementedError, RuntimeError):  # no such workbook, or packed in a way that is not known
        return []
    said = [f"formulas without a stored result are empty ({formulas}): open it in its program, and save it"]
    return said * bool(formulas) + [f"cells that hold an error are empty ({errors})"] * bool(errors)
