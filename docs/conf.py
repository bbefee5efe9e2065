"""Settings of the pages: ``make -C docs`` builds them into ``build/docs/html``."""

from __future__ import annotations

import sys
from pathlib import Path

from sphinx_gallery.sorting import FileNameSortKey

from relax import __version__

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

project = "relax"
author = "the authors of relax"
project_copyright = author
version = release = __version__
language = "en"
smartquotes = False  # they would make a dash of the hyphens of an option

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "commands",
    "mathml",
    "reference",
    "repository_links",
]
exclude_patterns = ["gallery", "extensions", "generated/gallery/*.ipynb", "generated/gallery/*.py"]
nitpicky = True
# Types of other packages, and words of docstrings that are no names of Python.
nitpick_ignore_regex = [(r"py:.*", r"(?!relax(\.|$)).*")]

# Pages: markdown that is read on GitHub too, with headings as targets of links.
myst_enable_extensions = ["colon_fence", "dollarmath", "deflist", "substitution"]
myst_heading_anchors = 4
myst_number_code_blocks = []
suppress_warnings = ["myst.strikethrough", "config.cache"]

# Tutorials are run when the pages are built.  An error in one is a warning, and with -W that is an error.
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE.parent / "build" / "docs" / "executed")
nb_execution_in_temp = True
nb_execution_timeout = 300
nb_execution_show_tb = True
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "generated/gallery",
    "filename_pattern": r"/plot_",
    "within_subsection_order": FileNameSortKey,
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "copyfile_regex": r"never",
}

html_theme = "furo"
html_title = "relax"
html_static_path = ["extensions/style"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f5fa8", "color-brand-content": "#1f5fa8"},
    "dark_css_variables": {"color-brand-primary": "#7fb4ee", "color-brand-content": "#7fb4ee"},
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
