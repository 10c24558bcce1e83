"""Cloud images: which there are, which build of each is used, and how it gets onto a storage."""
