"""Names and sentences in Markdown: they come from outside, and nothing in them is markup."""

from __future__ import annotations

import re

from fsbench.files import printable

_LONGEST = 200
_ODD = re.compile(r"[^\w\s.,;:%()+=/@\u0080-\U0010ffff-]|:(?!\s)|(?<=[A-Za-z])\.(?=[A-Za-z])")
_MENTION = re.compile(r"(?<!\w)@")  # GitHub looks for mentions after entities are read


def plain(text: str) -> str:
    """Text that stays text: nothing in it is a link, a mention, a tag or a border of a table.

    >>> plain("gan_mask, 12 %"), plain("<b>|@me")
    ('gan_mask, 12 %', '&#60;b&#62;&#124;<code>@</code>me')
    """
    escaped = _ODD.sub(lambda match: f"&#{ord(match[0])};", _short(text, 10 * _LONGEST))
    return _MENTION.sub("<code>@</code>", escaped)


def code(name: str) -> str:
    """A name in the type of code, in which GitHub mentions nobody."""
    return f"<code>{_ODD.sub(lambda match: f'&#{ord(match[0])};', _short(name, _LONGEST))}</code>"


def _short(text: str, most: int) -> str:
    shown = printable(text)
    return shown if len(shown) <= most else f"{shown[:most]}..."
