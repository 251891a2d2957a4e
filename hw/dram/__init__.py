"""LiteDRAM's controllers for the boards, behind the machine's memory port."""
