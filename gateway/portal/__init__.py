"""What an account holder sees and does under ``/.watchword/``, as pages and as JSON.

``site``          the map: which address needs what, and who answers
``call``          a request to one of those addresses, once it is allowed
``replies``       the forms that answers take: a page, a way on, JSON
``forms``         the pages' handlers: show something, or do something and lead on
``api``           the same as JSON calls
``recovery``      recovery codes, as pages and as JSON
``moving``        the guided way to a new phone
``desk``          what a person can do, once, for both of them
``devices``       devices and sessions: pages and calls of their own
``waiting``       where a device waits to be confirmed: page, calls and a stream of events
``resets``        a topic of its own, pages and calls: what the account holder sees of a reset, and stops
``account_app``   the pages as an app of their own, judged by the same `decide`
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
