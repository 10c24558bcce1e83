"""Machines over SSH: host keys, and when they are ready."""
