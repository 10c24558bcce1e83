"""What runs on the clusters: the workspaces of clusters/, their changes, and the guard before each apply."""
