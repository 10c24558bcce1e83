"""Talos clusters: secrets, machine configs, and the nodes' machine API."""
