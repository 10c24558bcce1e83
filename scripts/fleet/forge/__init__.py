"""GitHub: what a step tells it."""
