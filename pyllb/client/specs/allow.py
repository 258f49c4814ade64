"""Entitlements: what a build may do that a daemon does not let every build do."""

from __future__ import annotations

from collections.abc import Iterable

from pyllb.client.specs.fields import one_or_many
from pyllb.errors import NotThereYet, UsageError, near

NETWORK_HOST = "network.host"
SECURITY_INSECURE = "security.insecure"
_KNOWN = (NETWORK_HOST, SECURITY_INSECURE)


def parse_allow(value: str | Iterable[str] | None) -> tuple[str, ...]:
    """Read `allow=`: "network.host", "security.insecure", or a list of them.

    Raises UsageError for others, NotThereYet for devices. Mirrors entitlements.Parse of BuildKit 0.33.1.
    """
    allowed = []
    for item in one_or_many("allow", value, str):
        if isinstance(item, str) and item.partition("=")[0] == "device":
            raise NotThereYet(f"allow: devices, as in {item!r}")
        if not isinstance(item, str) or item not in _KNOWN:
            raise UsageError(
                f"allow: {item!r} is not an entitlement; there are {', '.join(_KNOWN)}{near(item, _KNOWN)}"
            )
        allowed.append(item)
    return tuple(dict.fromkeys(allowed))
