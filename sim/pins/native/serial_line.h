// The computer's end of a UART: bytes to bits on one wire, bits to bytes from the other, at exact times.
#pragma once

#include <cstdint>
#include <deque>

class SerialLine {
public:
    static constexpr uint64_t NEVER = ~0ull;

    explicit SerialLine(uint64_t baud) : baud_(baud) {}

    bool level = true;       // of the wire to the board
    uint64_t broken = 0;     // bytes without a stop bit
    std::deque<uint8_t> unsent, received;

    bool sending() const { return bit_ != IDLE; }

    // When the wire to the board changes next, or may, at the earliest.
    uint64_t next() const { return bit_ != IDLE ? sent_from_ + at(bit_) : unsent.empty() ? NEVER : 0; }
    // The same for the look at the other wire.
    uint64_t look() const { return looked_ != IDLE ? seen_from_ + at(2 * looked_ + 1, 2) : NEVER; }

    void send(uint64_t now) {
        if (bit_ == IDLE) {
            if (unsent.empty()) return;
            sent_from_ = now, bit_ = 0, byte_ = unsent.front();
            unsent.pop_front();
        }
        level = bit_ == 0 ? false : bit_ <= 8 ? byte_ >> (bit_ - 1) & 1 : true;
        bit_ = bit_ == 10 ? IDLE : bit_ + 1;
    }

    void changed(uint64_t now, bool wire) {
        if (!wire && looked_ == IDLE) seen_from_ = now, looked_ = 0, gathered_ = 0;
    }

    void sample(bool wire) {
        if (looked_ > 0 && looked_ <= 8) gathered_ |= wire << (looked_ - 1);
        if (looked_ == 9) {
            if (wire) received.push_back(gathered_);
            else broken++;
        }
        looked_ = looked_ == 9 || (looked_ == 0 && wire) ? IDLE : looked_ + 1;
    }

private:
    static constexpr int IDLE = -1;
    uint64_t at(uint64_t bits, uint64_t parts = 1) const { return bits * 1000000000000ull / (parts * baud_); }

    uint64_t baud_, sent_from_ = 0, seen_from_ = 0;
    int bit_ = IDLE, looked_ = IDLE;
    uint8_t byte_ = 0, gathered_ = 0;
};
