"""Small documents of other programs, made by hand."""

import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO

from pypdf import PdfReader, PdfWriter

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def pdf(*pages: str) -> bytes:
    """A PDF with a line of text on each page; a page without text has a rectangle."""
    drawn = [f"BT /F1 12 Tf 72 720 Td ({page}) Tj ET" if page else "0 0 9 9 re f" for page in pages]
    count = len(pages)
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{' '.join(f'{4 + 2 * n} 0 R' for n in range(count))}] /Count {count} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, stream in enumerate(drawn):
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * number} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>",
            f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        ]
    out, places = b"%PDF-1.4\n", list[int]()
    for number, each in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{each}\nendobj\n".encode()
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    end = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    return out + f"{end}trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF\n".encode()


def encrypted_pdf(page: str, password: str, algorithm: str) -> bytes:
    """A PDF that is encrypted; without a password everybody may read it."""
    writer = PdfWriter(clone_from=PdfReader(BytesIO(pdf(page))))
    writer.encrypt(password, "of the owner", algorithm=algorithm)
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def packed(parts: Mapping[str, str]) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        for name, text in parts.items():
            package.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{text}')
    return out.getvalue()


def related(*targets: tuple[str, str]) -> str:
    found = "".join(
        f'<Relationship Id="rId{n}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for n, (kind, target) in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="{PACKAGE}/relationships">{found}</Relationships>'


def types(**parts: str) -> str:
    found = "".join(f'<Override PartName="/{name}" ContentType="{kind}"/>' for name, kind in parts.items())
    return (
        f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels"'
        f' ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>{found}</Types>'
    )


def docx(body: str) -> bytes:
    """A Word file with this body, in which `w` is the name space."""
    main = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    return packed(
        {
            "[Content_Types].xml": types(**{"word/document.xml": main}),
            "_rels/.rels": related(("officeDocument", "word/document.xml")),
            "word/document.xml": f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>',
        }
    )


def paragraph(text: str, style: str = "") -> str:
    styled = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f'<w:p>{styled}<w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def table(*rows: Sequence[str]) -> str:
    lines = ("".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in row) for row in rows)
    return f"<w:tbl>{''.join(f'<w:tr>{line}</w:tr>' for line in lines)}</w:tbl>"


def xlsx(sheets: Mapping[str, Sequence[Sequence[str | float]]]) -> bytes:
    """A workbook with these sheets."""
    main = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    files = {f"xl/worksheets/sheet{n}.xml": rows for n, rows in enumerate(sheets.values(), 1)}
    named = "".join(f'<sheet name="{name}" sheetId="{n}" r:id="rId{n}"/>' for n, name in enumerate(sheets, 1))
    kinds = {"xl/workbook.xml": f"{main}.sheet.main+xml"} | dict.fromkeys(files, f"{main}.worksheet+xml")
    return packed(
        {
            "[Content_Types].xml": types(**kinds),
            "_rels/.rels": related(("officeDocument", "xl/workbook.xml")),
            "xl/workbook.xml": f'<workbook xmlns="{SHEET}" xmlns:r="{OFFICE}"><sheets>{named}</sheets></workbook>',
            "xl/_rels/workbook.xml.rels": related(*(("worksheet", name.removeprefix("xl/")) for name in files)),
        }
        | {name: _sheet(rows) for name, rows in files.items()}
    )


def _sheet(rows: Sequence[Sequence[str | float]]) -> str:
    lines = (
        "".join(
            f'<c r="{chr(65 + at)}{number}" t="inlineStr"><is><t>{cell}</t></is></c>'
            if isinstance(cell, str)
            else f'<c r="{chr(65 + at)}{number}"><v>{cell}</v></c>'
            for at, cell in enumerate(row)
        )
        for number, row in enumerate(rows, 1)
    )
    data = "".join(f'<row r="{number}">{line}</row>' for number, line in enumerate(lines, 1))
    return f'<worksheet xmlns="{SHEET}"><sheetData>{data}</sheetData></worksheet>'
