"""Platform: an operating system and an architecture, parsed and normalised as containerd does."""

from __future__ import annotations

import re

import attrs

from pyllb.errors import OptionError, near
from pyllb.value import Value

_PART = r"[A-Za-z0-9_.-]+\Z"
_LETTER = r"(?:[A-Za-z0-9_.-]|%[0-9A-Fa-f]{2})"  # what else a version or feature has is escaped as in a URL
_OS_PART = rf"([A-Za-z0-9_-]+)(?:\(({_LETTER}*)((?:\+{_LETTER}+)*)\))?\Z"
_KNOWN_OS = frozenset(
    (
        *("aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js", "linux", "macos", "nacl"),
        *("netbsd", "openbsd", "plan9", "solaris", "windows", "zos"),
    )
)
# Of text that has both parts; alone they are no platform to containerd. wasi/wasm32 is what Docker first called it.
_WASM_OS, _WASM_ARCH = ("wasi", "wasip1"), "wasm32"
_KNOWN_ARCH = frozenset(
    (
        *("386", "amd64", "amd64p32", "arm", "armbe", "arm64", "arm64be", "loong64", "mips", "mipsle", "mips64"),
        *("mips64le", "mips64p32", "mips64p32le", "ppc", "ppc64", "ppc64le", "riscv", "riscv64", "s390", "s390x"),
        *("sparc", "sparc64", "wasm"),
    )
)
_ARM64_VARIANT = {"8": "", "v8": "", "v8.0": "", "9": "v9", "9.0": "v9", "v9.0": "v9"}
_ARM_VARIANT = {"": "v7", "7": "v7", "5": "v5", "6": "v6", "8": "v8"}
_ALIAS = {"i386": "386", "x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}


@attrs.frozen(eq=False, repr=False)
class Platform(Value):
    """An OCI platform. variant, os_version and os_features are empty when they say nothing.

    Mirrors ocispecs.Platform; the text form and the rules are containerd/platforms'.
    """

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    def normalized(self) -> Platform:
        """This platform with the usual spellings: x86_64 is amd64, arm is arm/v7, macos is darwin, none is linux."""
        os = self.os.lower() or "linux"
        arch, variant = normalize_architecture(self.architecture, self.variant)
        features = tuple(sorted(set(self.os_features)))
        return Platform("darwin" if os == "macos" else os, arch, variant, self.os_version, features)

    def __str__(self) -> str:
        features = "".join(f"+{_escaped(feature)}" for feature in sorted(set(self.os_features)))
        inside = _escaped(self.os_version) + features
        system = f"{self.os}({inside})" if inside else self.os
        return "/".join(part for part in (system, self.architecture, self.variant) if part)


def given_platform(platform: Platform) -> Platform:
    """A platform that a user made, normalised. Raises OptionError without architecture, and for a part that is none."""
    if not platform.architecture:
        raise OptionError(f"platform is {platform!r}, which has no architecture; write Platform('linux', 'arm64'), say")
    named = (platform.os, platform.architecture, platform.variant)
    said = (platform.os_version, *platform.os_features) if isinstance(platform.os_features, list | tuple) else (None,)
    fits = all(isinstance(part, str) and re.match(_PART, part or "-") for part in named)
    if not fits or not all(isinstance(part, str) and part.isascii() and part.isprintable() for part in said):
        raise OptionError(
            f"platform is {platform!r}; its parts are letters, digits, '_', '.' and '-', as in 'linux/arm64'"
        )
    return platform.normalized()


def normalize_architecture(architecture: str, variant: str = "") -> tuple[str, str]:
    """The usual spelling of an architecture and its variant: ("armhf", "") is ("arm", "v7")."""
    arch, variant = architecture.lower(), variant.lower()
    arch = _ALIAS.get(arch, arch)
    if arch == "386":
        return arch, "" if architecture.lower() == "i386" else variant
    if arch == "amd64":
        return arch, "" if variant == "v1" else variant
    if arch == "arm64":
        return arch, _ARM64_VARIANT.get(variant, variant)
    if arch in ("armhf", "armel"):
        return "arm", "v7" if arch == "armhf" else "v6"
    if arch == "arm":
        return arch, _ARM_VARIANT.get(variant, variant)
    return arch, variant


def parse_platform(text: str, *, host: Platform | None = None) -> Platform:
    """Parse `os`, `arch`, `os/arch` or `os/arch/variant`, and normalise it.

    host: fills what text leaves out; None means linux/amd64.
    Raises OptionError when a part has letters that no platform has, or when a lone part is neither an OS nor an
    architecture. Mirrors platforms.Parse followed by platforms.Normalize.
    """
    here = host or Platform("linux", "amd64")
    if not isinstance(text, str):
        raise OptionError(f"{text!r} is not a platform; write os/arch as text, such as 'linux/arm64'")
    parts = text.split("/")
    match = re.match(_OS_PART, parts[0])
    if match is None or len(parts) > 3 or not all(re.match(_PART, part) for part in parts[1:]):
        raise OptionError(f"{text!r} is not a platform; write os/arch or os/arch/variant, such as 'linux/arm64'")
    name, version, features = match.group(1), match.group(2) or "", match.group(3) or ""
    os_features = tuple(_unescaped(feature) for feature in features.split("+") if feature)
    version = _unescaped(version)
    if len(parts) == 1:
        return _one_part(text, name, here, version, os_features)
    return Platform(name, parts[1], parts[2] if len(parts) == 3 else "", version, os_features).normalized()


def known_platform(text: str, *, host: Platform | None = None) -> Platform:
    """As parse_platform, of those that Go or wasm programs run on: LLB, and many a daemon, take any word for one.

    One that is not known here yet can be made as Platform(os, architecture). Raises OptionError.
    """
    platform = parse_platform(text, host=host)
    os, arch = platform.os, platform.architecture
    if os in _KNOWN_ARCH and arch in _KNOWN_OS:
        raise OptionError(f"{text!r} is not a platform; the operating system comes first, write '{arch}/{os}'")
    if os not in _KNOWN_OS and os not in _WASM_OS:
        hint = f"{near(os, sorted(_KNOWN_OS)) or ';'} one that is new is Platform({os!r}, {arch!r})"
        raise OptionError(f"{text!r} is not a known platform: there is no operating system {os!r}{hint}")
    if arch not in _KNOWN_ARCH and arch != _WASM_ARCH:
        hint = f"{near(arch, sorted(_KNOWN_ARCH)) or ';'} one that is new is Platform({os!r}, {arch!r})"
        raise OptionError(f"{text!r} is not a known platform: there is no architecture {arch!r}{hint}")
    return platform


def _escaped(text: str) -> str:
    """What stands between brackets, so that it is read back as it is."""
    for letter in "%+()/":
        text = text.replace(letter, f"%{ord(letter):02X}")
    return text


def _unescaped(text: str) -> str:
    if "%" not in text:
        return text
    from urllib.parse import unquote  # here: hardly a build has one, and start-up is measured

    return unquote(text)


def _one_part(text: str, name: str, host: Platform, version: str, features: tuple[str, ...]) -> Platform:
    if name.lower() in _KNOWN_OS:
        return Platform(name, host.architecture, host.variant, version, features).normalized()
    arch, variant = normalize_architecture(text)  # which has no version: architectures have none
    if arch not in _KNOWN_ARCH:
        raise OptionError(f"{text!r} is neither an operating system nor an architecture; write 'linux/amd64', say")
    return Platform(host.os, arch, variant).normalized()
