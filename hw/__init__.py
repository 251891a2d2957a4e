"""Boards, builds and synthesis."""
