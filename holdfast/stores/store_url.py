"""Taking the URL of a store apart, and showing it without its secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import parse_qsl

from holdfast.core.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Server", "StoreUrl", "servers_of", "shown"]

_SECRET: Final = re.compile(r"(?<=:).*@", re.DOTALL)
_SERVER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
_LAST_PORT: Final = 65_535

Server = tuple[str, int | None]
"""A host, and its port if the URL has one."""


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """The parts of ``scheme:place?option=value``, as they were written.

    Attributes:
        scheme: Such as ``sqlite`` or ``inngest+https``.
        place: All between the scheme and the options: ``//user:password@host:port/name``.
        options: By name, decoded.
        example: A URL of this kind that is right, for the texts of errors.
    """

    scheme: str
    place: str
    options: Mapping[str, str]
    example: str

    @classmethod
    def read(cls, url: str, example: str) -> StoreUrl:
        """Take a URL apart; a ``?`` before an ``@`` is part of a password, so in an option ``@`` is written ``%40``.

        Raises:
            StoreError: It ends in something else than options, or names an option twice.
        """
        scheme, _, rest = url.partition(":")
        user, at, rest = rest.rpartition("@")
        place, mark, query = rest.partition("?")
        bare = cls(scheme, user + at + place, {}, example)
        fields = query.split("&") if mark else []
        if not all("=" in field[1:] for field in fields):
            bare.refuse("what follows the '?' is not name=value&name=value")
        options: dict[str, str] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name in options:
                bare.refuse(f"the option {name!r} is given twice")
            options[name] = value
        return cls(scheme, bare.place, options, example)

    def refuse(self, what: str) -> NoReturn:
        """Say what is wrong with this URL, and how one is right.

        Raises:
            StoreError: Always.
        """
        message = f"{shown(f'{self.scheme}:{self.place}')!r}: {what}; write it like {self.example}"
        raise StoreError(message)

    def authority(self) -> tuple[str, str, str]:
        """Give ``user:password``, the hosts, and what follows them without its slash.

        Raises:
            StoreError: The scheme is not followed by two slashes.
        """
        if not self.place.startswith("//"):
            self.refuse("two slashes belong after the scheme")
        user, _, rest = self.place[2:].rpartition("@")
        hosts, _, name = rest.partition("/")
        return user, hosts, name


def shown(url: str) -> str:
    """Give a URL as it may be shown: without user, password and options."""
    text = _SECRET.sub(lambda found: f"{'//' if found[0].startswith('//') else ''}***@", url, count=1)
    return text.partition("?")[0]


def servers_of(url: StoreUrl, hosts: str, *, port_needed: bool = True) -> list[Server]:
    """Read ``host:port,host:port``.

    Raises:
        StoreError: One of them is not of that form.
    """
    servers: list[Server] = []
    for each in hosts.split(","):
        found = _SERVER.fullmatch(each)
        if found is None or (found[2] and not 0 < int(found[2]) <= _LAST_PORT):
            url.refuse(f"{each!r} is not host:port" if each else "the host is missing")
        if port_needed and not found[2]:
            url.refuse(f"the port of {each!r} is missing")
        servers.append((found[1].strip("[]"), int(found[2]) if found[2] else None))
    return servers
