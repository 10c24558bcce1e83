"""Ansible: the inventory, the queue, and plays."""
