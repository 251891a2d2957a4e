// The emulated board: one design out of Verilator, its memory, its link and its taps.
//
// `design.h` is generated: the design's class and which of the optional ports it has.

#pragma once

#include <memory>
#include <string>

#include "design.h"
#include "memory_model.h"
#include "program_order.h"
#include "recording.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif
#if !HAS_MEMORY
#include "banks.h"
#endif

namespace emulator {

// A memory inside the design goes on under reset: what it owes must have come.
constexpr int SETTLE_CYCLES = 4096;  // no link's transfer keeps memory busy for that long
constexpr int RESET_CYCLES = HAS_MEMORY ? 4 : 256;

// What ended a run. The same order as `RunState` in emulation.py.
enum Ended { LIMIT, DONE, ERROR, RECEIVED, VIOLATED };

// What an access shows, where it is one.
#define ACCESS(port, index, memory, write) \
    if (top.port##___05Fvalid)                                                                               \
        access(index, memory, write, top.port##___05Fnumber, top.port##___05Faddress, top.port##___05Flanes);

// Taps, numbered in the order of the signature.
#define NUMBER(port, words) TAP_##port,
enum TapNumber { FOR_EACH_TAP(NUMBER) TAPS };
#undef NUMBER

class Engine {
  public:
    Engine(uint64_t bytes, const Timing &timing) : memory(bytes, timing), recordings(TAPS) {
        context_.traceEverOn(VM_TRACE);
        context_.threads(1);
        top_ = std::make_unique<Design>(&context_, "emulated");
#define MEMORY(words, lanes) shared_.emplace_back(words, lanes);
        FOR_EACH_SHARED_MEMORY(MEMORY)
#undef MEMORY
        reset();
    }
    ~Engine() {
        close_waves();
        top_->final();
    }

    void reset() {
        memory.reset();
        to_link.clear();
        from_link.clear();
        was_busy_ = false;
        was_error_ = 0;
        violation_ = Violation();
        in_reset_ = true;
        rx_shown_ = false;
        for (int i = 0; i < RESET_CYCLES; i++) {
            // Inputs and reset arrive a cycle later: the last cycle takes the reset away.
            top_->rst = i < RESET_CYCLES - 1;
            cycle();
        }
        in_reset_ = false;
    }

    void start(uint64_t program) {
#if HAS_PROGRAM
        top_->program = program;
#endif
#if HAS_START
        top_->start = 1;
        cycle();
        top_->start = 0;
#endif
        (void)program;
    }

    Ended run(uint64_t limit, uint64_t bytes) {
        for (uint64_t i = 0; i < limit; i++) {
            const bool busy_before = was_busy_;
            const uint64_t error_before = was_error_;
            cycle();
            if (violated()) return VIOLATED;
            if (was_error_ && was_error_ != error_before) return settled(ERROR);
            if (busy_before && !was_busy_) return settled(was_error_ ? ERROR : DONE);
            if (bytes && from_link.size() >= bytes) return RECEIVED;
        }
        return LIMIT;
    }

    bool waves(const char *path, uint64_t from, uint64_t to) {
#if VM_TRACE
        close_waves();
        trace_ = std::make_unique<VerilatedVcdC>();
        top_->trace(trace_.get(), 99);
        trace_->open(path);
        wave_from_ = from;
        wave_to_ = to;
        return trace_->isOpen();
#else
        (void)path, (void)from, (void)to;
        return false;
#endif
    }

    void set_input(int number, uint64_t value) {
        int index = 0;
#define INPUT(port) \
    if (index++ == number) top_->port = value;
        FOR_EACH_INPUT(INPUT)
#undef INPUT
        (void)index, (void)number, (void)value;
    }

    uint64_t output(int number) const {
        int index = 0;
#define OUTPUT(port) \
    if (index++ == number) return top_->port;
        FOR_EACH_OUTPUT(OUTPUT)
#undef OUTPUT
        (void)index, (void)number;
        return 0;
    }

    uint64_t error() const {
#if HAS_ERROR
        return top_->error;
#else
        return 0;
#endif
    }
    bool busy() const { return top_->busy; }

    // What is violated since the last reset: a contract, or the order of the program.
    const Violation &violation() {
#if HAS_CONTRACTS
        violation_.contract = top_->violation;
#endif
        return violation_;
    }
    uint64_t cycles() const { return cycles_; }

    // Bytes to or from memory, without any cycles. False where they are not all inside.
    bool copy(bool write, uint64_t offset, uint8_t *bytes, uint64_t length) {
#if HAS_MEMORY
        return memory.copy(write, offset, bytes, length);
#else
        // A word's address is row, bank, column; each bank of the memory model is one array of rows.
        if (offset > BANK_BYTES * BANKS || length > BANK_BYTES * BANKS - offset) return false;
        uint8_t *banks[] = {FOR_EACH_BANK(top_->rootp)};
        for (uint64_t done = 0; done < length;) {
            const uint64_t place = offset + done, row = place / ROW_BYTES;
            const uint64_t within = place % ROW_BYTES, count = std::min<uint64_t>(ROW_BYTES - within, length - done);
            uint8_t *cell = banks[row % BANKS] + row / BANKS * ROW_BYTES + within;
            if (write) std::memcpy(cell, bytes + done, count);
            else std::memcpy(bytes + done, cell, count);
            done += count;
        }
        return true;
#endif
    }

    MemoryModel memory;
    std::deque<uint8_t> to_link, from_link;
    std::vector<Recording> recordings;

  private:
    // Memory has accepted every write, but some wait in its queues, where `copy` does not see them.
    Ended settled(Ended how) {
#if HAS_MEMORY
        for (int i = 0; i < SETTLE_CYCLES && !memory.quiet(); i++) cycle();
#endif
        return how;
    }

    bool violated() const {
#if HAS_CONTRACTS
        return top_->violation || violation_.disorder;
#else
        return false;
#endif
    }

    // Takes what the design shows in this cycle, drives what it will see in the next, and goes there.
    void cycle() {
        Design &top = *top_;
        was_busy_ = top.busy;
        was_error_ = error();
        if (!in_reset_) observe();
#if HAS_MEMORY
        top.memory___05Fcmd___05Fready = memory.cmd_ready;
        top.memory___05Fwdata___05Fready = memory.wdata_ready;
        top.memory___05Frdata___05Fvalid = memory.rdata_valid;
        for (int i = 0; i < BEAT_WORDS; i++) top.memory___05Frdata___05Fpayload[i] = memory.rdata.words[i];
#endif
#if HAS_LINK
        rx_shown_ = !to_link.empty();
        top.link___05Frx___05Fvalid = rx_shown_;
        top.link___05Frx___05Fpayload = rx_shown_ ? to_link.front() : 0;
        top.link___05Ftx___05Fready = 1;
#endif
#if PUMP == 1
        top.clk = 0;
        evaluate(0);
        top.clk = 1;
        evaluate(1);
#else
        // Both clocks rise together; the faster one rises once more in the middle of the cycle.
        top.fast_clk = 0;
        evaluate(0);
        top.clk = top.fast_clk = 1;
        evaluate(1);
        if (!in_reset_) accesses_of_first_half();
        top.fast_clk = 0;
        evaluate(2);
        top.clk = 0;
        top.fast_clk = 1;
        evaluate(3);
#endif
        cycles_++;
    }

    void evaluate(int part) {
        top_->eval();
        dump(part);
    }

    // What the faster domain alone reads and writes before the edge in the middle; the rest is seen at the end.
    void accesses_of_first_half() {
        Design &top = *top_;
        FOR_EACH_FAST_ACCESS(ACCESS)
        (void)top;
    }

    void observe() {
#if HAS_MEMORY
        Design &top = *top_;
        const auto command = static_cast<uint64_t>(top.memory___05Fcmd___05Fpayload);
        uint32_t wdata[BEAT_WORDS + 1] = {};
        if (top.memory___05Fwdata___05Fvalid) to_words(top.memory___05Fwdata___05Fpayload, wdata, BEAT_WORDS + 1);
        memory.tick(top.memory___05Fcmd___05Fvalid, command & ((uint64_t{1} << ADDRESS_BITS) - 1),
                    command >> ADDRESS_BITS & 1, top.memory___05Fwdata___05Fvalid, wdata,
                    static_cast<uint16_t>(wdata[BEAT_WORDS]), top.memory___05Frdata___05Fready);
#endif
        sample();
    }

    // What the link and the taps show.
    void sample() {
        Design &top = *top_;
#if HAS_LINK
        if (rx_shown_ && top.link___05Frx___05Fready) to_link.pop_front();
        if (top.link___05Ftx___05Fvalid) from_link.push_back(top.link___05Ftx___05Fpayload);
#endif
#define RECORD(port, count)                                                            \
    if (recordings[TAP_##port].enabled && top.port##___05Fvalid) {                     \
        Recording &recording = recordings[TAP_##port];                                 \
        recording.cycles.push_back(cycles_);                                           \
        recording.words.resize(recording.words.size() + count);                        \
        to_words(top.port##___05Fpayload, recording.words.data() + recording.words.size() - count, count);    \
    }
        FOR_EACH_TAP(RECORD)
#undef RECORD
#if HAS_CONTRACTS
        if (top.program_begins)
            for (SharedMemory &memory : shared_) memory.forget();
#endif
        FOR_EACH_ACCESS(ACCESS)
        (void)top;
    }

    // Only the first one out of order is kept.
    void access(int index, int memory, bool write, uint32_t number, uint32_t address, uint64_t lanes) {
        if (violation_.disorder) return;
        shared_[memory].access(write, number, address, lanes, violation_);
        violation_.access = index;
    }

    void dump(int part) {
#if VM_TRACE
        if (trace_ && cycles_ >= wave_from_ && cycles_ < wave_to_) trace_->dump(2 * PUMP * cycles_ + part);
        if (trace_ && part == 2 * PUMP - 1 && cycles_ + 1 >= wave_to_) close_waves();
#else
        (void)part;
#endif
    }

    void close_waves() {
#if VM_TRACE
        if (trace_) trace_->close();
        trace_.reset();
#endif
    }

    VerilatedContext context_;
    std::unique_ptr<Design> top_;
    uint64_t cycles_ = 0, was_error_ = 0;
    bool was_busy_ = false, in_reset_ = false, rx_shown_ = false;
    std::vector<SharedMemory> shared_;
    Violation violation_{};
#if VM_TRACE
    std::unique_ptr<VerilatedVcdC> trace_;
    uint64_t wave_from_ = 0, wave_to_ = 0;
#endif
};

}  // namespace emulator
