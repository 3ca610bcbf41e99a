"""Typesets one document with Typst: TOOLS ROOT SOURCE OUTPUT..., one output a format."""

import sys
from pathlib import Path

tools, root, source, *outputs = sys.argv[1:]
sys.path.insert(0, tools)

import typst  # noqa: E402  (it is in the folder that the line above names)

# Only fonts that come with the tools: the same document on every machine.
compiler = typst.Compiler(
    input=source,
    root=root,
    font_paths=[str(Path(tools) / "font_source_sans_pro" / "files")],
    ignore_system_fonts=True,
)
for output in outputs:
    form = Path(output).suffix[1:]
    try:
        document, warnings = compiler.compile_with_warnings(format=form)
    except typst.TypstError as error:
        sys.exit(getattr(error, "diagnostic", None) or str(error))
    # A page has no margins and page breaks, and Typst calls its HTML export a preview; it says so.
    unexpected = [warning for warning in warnings if "html export" not in warning.message.lower()]
    if unexpected:
        sys.exit("\n".join(warning.diagnostic for warning in unexpected))
    Path(output).write_bytes(document)
