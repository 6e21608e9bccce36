"""How Sphinx builds these pages: ``make docs``. Nothing is fetched, neither now nor by the pages."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

import genlab  # noqa: E402  the repository's, wherever it is installed

project = "genlab"
author = "the genlab authors"
version = release = genlab.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "mathml",
    "checklists",
    "new_plugins",
    "references",
    "docstrings",
]
exclude_patterns = ["_build"]
default_role = "code"  # docstrings write `names` in single backticks

html_math_renderer = "mathml"  # browsers draw it themselves
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 110
toc_object_entries_show_parents = "hide"

# A reference to a public name of genlab's must lead somewhere (-n). Other packages' pages are elsewhere, and types
# that are not public, which callers only pass on, have none.
FOREIGN = "torch|types|collections|pathlib|typing|typer|pydantic|nn|Tensor|Distribution|Module|dict"
FOREIGN += "|Path|Mapping|Sequence|Callable|Iterable|Any|ABC"
PASSED_ON = r"genlab\.[a-z_.]+\.[A-Z]\w*|Callback|Prepared|Recipe|Override|Json"
nitpick_ignore_regex = [("py:.*", rf"({FOREIGN}|{PASSED_ON})([.\[].*)?")]

html_theme = "furo"
html_title = f"genlab {release}"
html_static_path = ["_static"]
html_css_files = ["genlab.css"]
html_copy_source = html_domain_indices = False
html_show_sphinx = html_show_copyright = False
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#1d4ed8",
        "color-brand-content": "#1d4ed8",
        "code-font-size": "78%",
    },
    "dark_css_variables": {"color-brand-primary": "#93b4ff", "color-brand-content": "#93b4ff"},
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"
