"""The configuration in `.env`, and the files that are generated from it."""
