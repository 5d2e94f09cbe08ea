"""Watchword: a reverse-proxy authentication gateway.

A request travels in one direction, and each stage hands a frozen value to the next::

    listener -> target -> identify -> match -> decide -> forward -> upstream
                                                 |
                                                 +-> sign in / step up / authorise device / refuse

The words, used the same way in code, YAML, pages and documents:

account      a person, known by a stable ``subject``
app          one web application behind the gateway; one policy file
upstream     the address(es) where an app answers
target       the canonical method, host, path and query; policy and forwarding use this same value
rule         a line of policy: which requests it matches and what they need
action       a named thing worth protecting; rules point to it
session      one signed-in browser or client of an account
device       a browser or client that an account has used: pending, authorised or revoked; confirmed once
             its owner vouched for it
factor       an enrolled TOTP secret, pending until confirmed by a code
code         six digits from a factor; ``step`` is the 30-second counter it belongs to
challenge    a pending demand for a code: for which action, which request, until when
grant        proof, kept in the session, that a code was given
trial        (on trial) a factor or proof by a recovery code, which takes no protection away for a while
parked       (request) a body kept, sealed, while its challenge is answered, then sent once
decision     Forward, SignIn, StepUp, AuthoriseDevice or Refuse; always with a Reason
permit       what a Forward carries; forwarding is impossible without one
revocation   the ending of a session, a device, an account's sessions, or everybody's
reset        support's case to take the lost factors off an account: checked, approved, waited for
notice       word of something that happened to an account, to its holder: by mail or by webhook
epoch        a counter that only rises; a session lives only while its epochs are the current ones

Imports point one way, and import-linter holds them to it::

    cli -> app -> proxy | portal | admin | supervision -> notices -> identity | web -> store -> settings
        -> core -> errors
"""

__version__ = "0.1.0"
