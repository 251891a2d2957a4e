"""Instruction fetch, sequencers, semaphores, counters, taps."""
