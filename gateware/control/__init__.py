"""Instruction fetch, queues, semaphores, counters."""
