// What a tap showed, and ports of any width as 32-bit words.

#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "verilated.h"

namespace emulator {

// 32-bit words of a port of any width.
template <std::size_t N> void to_words(const VlWide<N> &port, uint32_t *words, int count) {
    for (int i = 0; i < count; i++) words[i] = port[i];
}
template <class T, class = std::enable_if_t<std::is_integral_v<T>>> void to_words(T port, uint32_t *words, int count) {
    for (int i = 0; i < count; i++) words[i] = static_cast<uint32_t>(static_cast<uint64_t>(port) >> (32 * i));
}

struct Recording {
    bool enabled = false;
    std::vector<uint64_t> cycles;
    std::vector<uint32_t> words;
};

}  // namespace emulator
