"""The account holder's pages under ``/.watchword/``: rendered here, without a framework or outside asset.

``pages``         values -> HTML text; every page is one method of `Pages`. No I/O, no request, no clock
``texts``         every word that a person reads, by key, from ``languages/``
``qr``            a key URI -> the inline SVG that an authenticator app scans
``static_files``  the style sheet, the script and the icon: read once at start, served from memory
``templates/``    Jinja2; ``base.html`` is the frame, ``parts.html`` the pieces that pages share
``languages/``    one catalogue of texts for each language, ready for translators
``static/``       ``watchword.css``, ``watchword.js``, ``watchword.svg``

Two rules hold for all pages. They work without JavaScript, and the script only adds comfort. And
they carry no inline script, style or handler, since `pages.PAGE_HEADERS` forbids those.
"""
