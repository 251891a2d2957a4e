"""What is done with embeddings: vectors in files, searching them, classes of a few pictures each, texts."""
