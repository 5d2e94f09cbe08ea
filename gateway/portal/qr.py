"""QR codes (ISO/IEC 18004) as inline SVG, drawn so that a phone can scan them from any page."""

import segno


def qr_svg(uri: str) -> str:
    """An SVG element with `uri` as a QR code.

    Black on its own white ground with the quiet zone of four modules that the standard demands, so
    that a dark page around it does not matter. Colours are attributes, not styles, which a strict
    Content-Security-Policy would drop. It has no size: the page gives one.
    """
    return segno.make_qr(uri, error="m").svg_inline(
        border=4, light="#fff", dark="#000", omitsize=True, svgclass=None, lineclass=None
    )
