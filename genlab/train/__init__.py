"""Training: plain functions around a pure step; nothing here knows recipes, plugins or the command line."""
