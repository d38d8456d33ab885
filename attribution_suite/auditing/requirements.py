"""What a worker on another machine must have, so that its numbers are those of the run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from attribution_suite.auditing.chunks import Chunk
from attribution_suite.auditing.code_digest import VERSIONS, code_digest, plug_in_digest
from attribution_suite.devices import choose
from attribution_suite.errors import InputError
from attribution_suite.removals import REMOVALS
from attribution_suite.scorers import SCORERS

PLUG_INS = {"scorer": SCORERS, "removal": REMOVALS}


@dataclass(frozen=True)
class Requirements:
    """`versions` of the packages that compute; `code`: the digest of this one's; `device`: its kind.

    `plug_ins`: the digest of each scorer and removal that another package adds, by its kind and name.
    """

    versions: Mapping[str, str]
    code: str
    plug_ins: Mapping[tuple[str, str], str | None]
    device: str

    @classmethod
    def of(cls, chunks: Iterable[Chunk], device: str) -> "Requirements":
        """Those of this process, for chunks that are to be computed."""
        chunks = list(chunks)
        named = {("scorer", name) for chunk in chunks for name in chunk.subject.asked}
        named |= {("removal", chunk.removal) for chunk in chunks}
        added = {(kind, name): plug_in_digest(PLUG_INS[kind], name) for kind, name in sorted(named)}
        return cls(dict(VERSIONS), code_digest(), {name: digest for name, digest in added.items() if digest}, device)

    def lacking(self) -> str:
        """What this process has not as it should be; '' if nothing."""
        for package, version in self.versions.items():
            if VERSIONS[package] != version:
                return f"has {package} {VERSIONS[package]}, the run {version}: install the same there"
        if code_digest() != self.code:
            return f"has other code of attribution-suite {VERSIONS['attribution-suite']}: install the same there"
        for (kind, name), digest in self.plug_ins.items():
            if plug_in_digest(PLUG_INS[kind], name) != digest:
                return f"has not the {kind} {name} of the run: install the same package there"
        try:
            choose(self.device)
        except InputError:
            return f"has no device '{self.device}', which the run computes on: leave such workers out, or name cpu"
        return ""
