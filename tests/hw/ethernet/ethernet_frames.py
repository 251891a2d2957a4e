"""Ethernet frames as a host's network card has them, without preamble and check sequence; by RFC 791, 792, 768, 826."""

import struct
from dataclasses import dataclass

from hw.ethernet.settings import EthernetSettings

__all__ = ["BOARD", "BOARD_MAC", "BROADCAST_MAC", "Host", "Udp", "arp", "checksum", "ipv4", "parsed_udp"]

SETTINGS = EthernetSettings()
BOARD, BOARD_MAC = SETTINGS.ip_number, SETTINGS.mac_number.to_bytes(6, "big")
BROADCAST_MAC = b"\xff" * 6
LEAST = 60
IP, ARP = 0x0800, 0x0806
PING, UDP = 1, 17
ASKS, SAYS = 1, 2


def checksum(content: bytes) -> int:
    """Of the internet: the complement of the sum of words with end-around carry."""
    total = sum(struct.unpack(f">{len(content) // 2}H", content[: len(content) // 2 * 2]))
    total += content[-1] << 8 if len(content) % 2 else 0
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(to: bytes, from_: bytes, kind: int, content: bytes) -> bytes:
    return (to + from_ + struct.pack(">H", kind) + content).ljust(LEAST, b"\0")


def arp(operation: int, mac: bytes, ip: int, to_mac: bytes, to_ip: int) -> bytes:
    """A frame that asks who has an address, or says so."""
    body = struct.pack(">HHBBH6sI6sI", 1, IP, 6, 4, operation, mac, ip, to_mac, to_ip)
    return ethernet(BROADCAST_MAC if operation == ASKS else to_mac, mac, ARP, body)


def ipv4(protocol: int, from_: int, to: int, content: bytes, length: int | None = None) -> bytes:
    """A packet; `length`: what it says of its content, where that is not so."""
    said = 20 + (len(content) if length is None else length)
    head = struct.pack(">BBHHHBBHII", 0x45, 0, said, 0, 0, 64, protocol, 0, from_, to)
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + content


@dataclass(frozen=True)
class Udp:
    """A datagram that came: where from and to, and what is in it."""

    from_ip: int
    from_port: int
    to_ip: int
    to_port: int
    content: bytes


def parsed_udp(frame: bytes) -> Udp | None:
    """None where the frame is none; asserts that its headers are right."""
    if frame[12:14] != struct.pack(">H", IP) or frame[23] != UDP:
        return None
    assert frame[14] == 0x45 and checksum(frame[14:34]) == 0
    (length,) = struct.unpack(">H", frame[16:18])
    from_ip, to_ip, from_port, to_port, said, check = struct.unpack(">IIHHHH", frame[26:42])
    assert said == length - 20 and check == 0 and len(frame) == max(LEAST, 14 + length)
    return Udp(from_ip, from_port, to_ip, to_port, frame[42 : 14 + length])


@dataclass(frozen=True)
class Host:
    """A computer on the network."""

    ip: int
    mac: bytes
    port: int = 50_000

    def asks_for(self, ip: int) -> bytes:
        return arp(ASKS, self.mac, self.ip, bytes(6), ip)

    def says(self, to_mac: bytes, to_ip: int) -> bytes:
        return arp(SAYS, self.mac, self.ip, to_mac, to_ip)

    def ping(self, content: bytes, length: int | None = None, to: int = BOARD) -> bytes:
        """`length`: what the packet says that its content has."""
        body = struct.pack(">BBHHH", 8, 0, 0, 77, 1) + content
        body = body[:2] + struct.pack(">H", checksum(body)) + body[4:]
        return ethernet(BOARD_MAC, self.mac, IP, ipv4(PING, self.ip, to, body, None if length is None else 8 + length))

    def udp(self, content: bytes, port: int, to: int = BOARD) -> bytes:
        head = struct.pack(">HHHH", self.port, port, 8 + len(content), 0)
        to_mac = BOARD_MAC if to == BOARD else BROADCAST_MAC
        return ethernet(to_mac, self.mac, IP, ipv4(UDP, self.ip, to, head + content))
