"""A new workload for the clusters, of a person's own."""
