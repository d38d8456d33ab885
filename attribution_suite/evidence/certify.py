"""Signs what holds: certificates of a finished run, written anew."""

from pathlib import Path
from typing import TYPE_CHECKING

from attribution_suite.errors import InputError
from attribution_suite.evidence.verify import verify_run
from attribution_suite.evidence.write import FOLDER, LIST, read_record, write_certificates, write_list
from attribution_suite.files import exclusive

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def certify_run(run: Path, key: "Ed25519PrivateKey | None" = None) -> Path:
    """Writes the certificates of a run and the list of its files, with a key signed; returns their folder.

    Raises InputError where the run does not hold: what is wrong must not become right by being written down again.
    """
    read_record(run)  # before the folder is held: nothing is left in one that holds no run
    with exclusive(run):
        found = verify_run(run, listed=(run / LIST).exists())
        wrong = [line for line in found.differs if not line.startswith(f"{FOLDER}/")]
        if wrong:
            raise InputError(f"{run} does not hold, so it is not certified: {wrong[0]}; `attribution-suite verify` "
                             "says all, the run's own command makes it anew")
        write_certificates(run, key)
        write_list(run, key)
    return run / FOLDER
