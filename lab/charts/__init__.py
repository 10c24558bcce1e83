"""The charts of the lab, under the real names and with the values that clusters/ sets; nothing of them runs.

Each refuses, by its values.schema.json, a value that the real chart does not have or clusters/ does not set.
"""
