"""How Sphinx makes a site of these pages: `make docs`."""

project = "ivit-machine"
author = "the contributors"
copyright = "the contributors, Apache-2.0"

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
exclude_patterns = ["pictures/*.txt"]

myst_heading_anchors = 4  # [text](page.md#a-heading): checked
highlight_language = "none"  # blocks that name no language are commands and their output
nitpicky = True

html_theme = "furo"
html_title = "Integer-only Vision Transformers on small FPGAs"
html_copy_source = False
html_show_sphinx = False
