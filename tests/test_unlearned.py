"""Nothing is concluded from networks that have not learned, and the page says so first."""

from pathlib import Path

import numpy as np
import pytest

from attribution_suite import audit, from_arrays
from attribution_suite.results import Audit

pytestmark = pytest.mark.usefixtures("plain")
ROWS = np.random.default_rng(5).standard_normal((400, 3))
WORDS = {"remove": "x0", "removals": ["fold", "shuffle_tuning"], "scorers": ["saliency"], "seeds": 2, "tuning": 0.1,
         "jobs": 1, "say": lambda _: None}


def audited(out: Path, targets: np.ndarray) -> Audit:
    return audit(from_arrays(ROWS, targets, name="rows"), out=out, **WORDS)


def test_of_noise_nothing_is_concluded_but_proofs(tmp_path: Path) -> None:
    noise = np.random.default_rng(6).standard_normal(400)
    run = audited(tmp_path, noise)
    direct = run.verdicts.set_index("removal").direct
    assert direct.to_dict() == {"original": "not measured", "fold": "proved none", "shuffle_tuning": "not measured"}
    assert (run.verdicts.set_index("removal").networks_not_measured == [2, 0, 2]).all()
    page = (run.path / "report.html").read_text()
    assert "rows: 2 of 2 networks did not learn" in page
    assert page.index("did not learn") < page.index("<section")


def test_of_what_has_learned_there_is_no_such_notice(tmp_path: Path) -> None:
    run = audited(tmp_path, ROWS[:, 0] + 2 * ROWS[:, 1])
    assert set(run.verdicts.direct) == {"present", "proved none"}
    assert "did not learn" not in (run.path / "report.html").read_text()
