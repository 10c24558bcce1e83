"""Clusters of several machines: who belongs to one, who starts it, its tokens, and leaving it."""
