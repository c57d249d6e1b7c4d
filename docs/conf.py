"""Settings of the documentation: python -m sphinx -W docs OUT."""

import re

from audiocodec import __version__

project = "audiocodec"
author = "audiocodec contributors"
copyright = author
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "figures/*.py"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["docstring.css"]
html_title = f"audiocodec {__version__}"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
# Docstrings are plain text, read in an editor and by help(); their line breaks carry meaning.
autodoc_docstring_signature = False


def as_plain_text(app, what, name, obj, options, lines):
    """Show the first paragraph as text and the rest as it was written: shapes are aligned there."""
    first = lines.index("") if "" in lines else len(lines)
    summary = re.sub(r"([\\`*_|<>])", r"\\\1", " ".join(lines[:first]))
    rest = [f"   {line}" for line in lines[first:]]
    block = [".. code-block:: text", "   :class: docstring", "", *rest, ""]
    lines[:] = [summary, "", *(block if any(map(str.strip, rest)) else [])]


def link_files(app, docname, source):
    """Let links to Markdown outside of docs/ lead to the files, as they do in the repository."""
    source[0] = re.sub(r"\]\((\.\./[^)#]+\.md)", r"](path:\1", source[0])


def setup(app):
    """Called by Sphinx."""
    app.connect("source-read", link_files)
    app.connect("autodoc-process-docstring", as_plain_text)
