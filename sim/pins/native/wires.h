// Wires between the FPGA and its memory: what is put on at one end is there at the other after the wire's delay.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

enum class Wire : uint8_t { CLOCK, COMMANDS, DATA, STROBE, CHIP, BACK };

struct Arrival {
    uint64_t at, order;
    Wire wire;
    uint8_t lane;
    bool driven;
    uint32_t value;

    bool operator>(const Arrival &other) const { return at != other.at ? at > other.at : order > other.order; }
};

class Wires {
public:
    static constexpr uint64_t NEVER = ~0ull;

    void put(uint64_t at, Wire wire, int lane, bool driven, uint32_t value) {
        heap_.push_back({at, order_++, wire, uint8_t(lane), driven, value});
        std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
    }
    uint64_t next() const { return heap_.empty() ? NEVER : heap_.front().at; }
    Arrival take() {
        std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
        const Arrival found = heap_.back();
        heap_.pop_back();
        return found;
    }

private:
    std::vector<Arrival> heap_;
    uint64_t order_ = 0;
};
