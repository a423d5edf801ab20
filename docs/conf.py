# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The site made of the Markdown pages: by scripts/docs, or by rosdoc2 with rosdoc2.yaml."""

project = 'robocache_ros'
author = 'the robocache_ros authors'
project_copyright = '2026, the robocache_ros authors'
extensions = ['myst_parser']
# The pages are written for GitHub, which makes the anchors of headings in the same way.
myst_heading_anchors = 4
html_theme = 'alabaster'
html_show_sourcelink = False
html_copy_source = False
