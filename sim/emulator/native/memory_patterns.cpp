// Access patterns on the memory model alone: what the tests of its timing and of its data measure.

#include "memory_model.h"

using emulator::MemoryModel;
using emulator::Timing;

extern "C" {

// Cycles that `count` commands take, each offered as soon as the one before was accepted, up to the last one's end.
// Write number i, from 1 on, writes 2^32 + i. Of each read, in order: `latencies`, accepted command to data; `values`, the
// lowest 64 bits. -1: not done within `limit` cycles.
__attribute__((visibility("default"))) int64_t memory_pattern(const Timing *timing, uint64_t bytes, int64_t count,
                                                              const uint64_t *addresses, const uint8_t *writes,
                                                              int64_t limit, int32_t *latencies, uint64_t *values) {
    MemoryModel model(bytes, *timing);
    int64_t commands = 0, words = 0, words_wanted = 0, reads = 0;
    std::deque<int64_t> accepted;
    for (int64_t i = 0; i < count; i++) words_wanted += writes[i];
    for (int64_t cycle = 0; cycle < limit; cycle++) {
        if (model.rdata_valid) {
            values[reads] = static_cast<uint64_t>(model.rdata.words[1]) << 32 | model.rdata.words[0];
            latencies[reads++] = static_cast<int32_t>(cycle - accepted.front());
            accepted.pop_front();
        }
        if (commands == count && model.quiet()) return cycle;
        const bool offered = commands < count, word_offered = words < words_wanted;
        const bool taken = offered && model.cmd_ready, word_taken = word_offered && model.wdata_ready;
        if (taken && !writes[commands]) accepted.push_back(cycle);
        const uint32_t word[emulator::BEAT_WORDS] = {static_cast<uint32_t>(words + 1), 1, 0, 0};
        model.tick(offered, offered ? addresses[commands] : 0, offered && writes[commands], word_offered, word, 0xFFFF,
                   true);
        commands += taken;
        words += word_taken;
    }
    return -1;
}
}
