"""Terraform's plan: what it does to each machine, and what of it is refused."""
