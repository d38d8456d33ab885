"""The site: `sphinx-build -W --keep-going docs docs/_build`. Pages are Markdown, the gallery is Python that runs."""

import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the gallery's networks are small: threads only cost

project = "attribution_suite"
author = "the attribution_suite authors"
copyright = f"2026, {author}"
release = version = version_of("attribution-suite")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_gallery.gen_gallery", "reference"]
exclude_patterns = ["_build", "extending/examples", "gallery"]
html_theme = "furo"
html_title = f"attribution_suite {release}"
html_show_sphinx = False
html_copy_source = False

myst_enable_extensions = ["attrs_block", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "reset_modules": ("matplotlib",),
    "write_computation_times": False,
    "capture_repr": ("_repr_html_",),
}
