"""Pictures of the shell: runs in a real terminal, and their screens as SVG."""
