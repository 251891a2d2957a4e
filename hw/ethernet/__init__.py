"""LiteEth's UDP/IP core for the boards, behind the link's datagrams."""
