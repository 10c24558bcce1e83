"""Kubernetes clusters: their kubeconfig in Vault."""
