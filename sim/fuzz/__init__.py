"""Random networks on random machines with random memories, every integer against the reference."""
