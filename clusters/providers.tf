# Which cluster, and with what credentials, comes from KUBE_CONFIG_PATH and KUBE_CTX: scripts/with_kubeconfig.py reads
# the one context from Vault and sets them. Nothing of it is in the plan or the state.
provider "helm" {}
