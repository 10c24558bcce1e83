"""Terraform: its input, its state and its outputs."""
