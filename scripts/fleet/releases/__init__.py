"""helm's releases: what a plan does to them, what the cluster has of them, and the guard between the two."""
