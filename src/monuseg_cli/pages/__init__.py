"""Self-contained HTML pages: filled templates, embedded images, plots as SVG."""
