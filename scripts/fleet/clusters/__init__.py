"""Kubernetes clusters: their kubeconfig, which Vault stores."""
