"""Commit messages: from text to requests."""
