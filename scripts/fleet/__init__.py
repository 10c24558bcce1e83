"""What several of the scripts share: file places, findings, atomic writes, names."""
