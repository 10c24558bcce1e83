"""Terraform: its input, its state and outputs, and what a plan would do."""
