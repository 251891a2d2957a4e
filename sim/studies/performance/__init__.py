"""The performance table, from runs of whole networks on the emulated board."""
