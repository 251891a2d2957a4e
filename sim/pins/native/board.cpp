// A board around its FPGA: oscillator, button, UART, memory chip and the wires to it; as a library with a C interface.
// Without BOARD_SDRAM the chip is a DDR3, and the board an Arty A7; with it a SDR SDRAM, and a ULX3S.
#include <sys/mman.h>

#include <cstring>
#include <memory>

#include "Vpins.h"
#include "serial_line.h"
#include "verilated.h"
#include "wires.h"

#ifdef BOARD_SDRAM
#include "sdram_chip.h"
namespace memory_chip = sdram;
constexpr uint64_t OSCILLATOR = 20000;  // picoseconds of half a period of 25 MHz
#else
#include "ddr3_chip.h"
namespace memory_chip = ddr3;
constexpr uint64_t OSCILLATOR = 5000;  // of 100 MHz
#endif

#define EXPORT extern "C" __attribute__((visibility("default")))

struct Options {
    uint64_t baud;
    uint32_t leaving, entering;          // picoseconds through the FPGA's output and input buffers
    uint32_t clock, commands;            // along the wires
    uint32_t data[LANES], strobe[LANES];
    uint32_t jitter;                     // of the chip's data, to either side
    uint32_t crossed;                    // the data wires of the two lanes have changed places
    uint32_t stuck;                      // data wires that are always high
    uint32_t restless;                   // the PLL's fast clocks never rest
};

struct Statistics {
    Counts memory;
    uint64_t evaluations, conflicts, broken_bytes;
    int32_t cas_latency, write_latency;
};

static thread_local Complaints *current_complaints = nullptr;
static thread_local VerilatedContext *current_context = nullptr;

extern "C" void pins_complain(const char *what) { current_complaints->add(current_context->time(), "%s", what); }

class PinBoard {
public:
    static constexpr uint64_t AWAKE = 60000;      // that the PLL's clocks go on after the memory's last bit

    explicit PinBoard(const Options &options)
        : options_(options), line_(options.baud), memory_(map()), chip_(complaints, memory_, int(options.jitter)) {
        context_.threads(1);
        current_complaints = &complaints, current_context = &context_;
        top_ = std::make_unique<Vpins>(&context_, "board");
        top_->rx = 1;
        top_->dq = 0xFFFF & options_.stuck;
        top_->awake = 1;
        evaluate();
    }
    ~PinBoard() {
        top_->final();
        munmap(memory_, 2 * memory_chip::WORDS);
    }

    Complaints complaints;

    // Until that time, or until so many bytes (0: never) have come from the board.
    void run(uint64_t until, size_t bytes) {
        current_complaints = &complaints, current_context = &context_;
        while (!bytes || line_.received.size() < bytes) {
            const uint64_t wait = std::max(line_.next(), now());
            const uint64_t next = std::min({wires_.next(), oscillator_, wait, line_.look(), ripe()});
            if (next > until) break;
            context_.time(next);
            step(next);
        }
        if (!bytes || line_.received.size() < bytes) context_.time(std::max(until, now()));
    }

    uint64_t now() const { return context_.time(); }
    SerialLine &line() { return line_; }
    void button(bool pressed) { top_->button = pressed; }
    int lamps() const { return top_->lamps; }
    uint8_t *memory() { return reinterpret_cast<uint8_t *>(memory_); }
    Statistics statistics() const {
        return {chip_.counts, evaluations_, conflicts_, line_.broken, chip_.cas_latency(), chip_.write_latency()};
    }

private:
    static uint16_t *map() {
        void *found = mmap(nullptr, 2 * memory_chip::WORDS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (found == MAP_FAILED) throw std::bad_alloc();
        return static_cast<uint16_t *>(found);
    }

    uint64_t ripe() { return top_->eventsPending() ? top_->nextTimeSlot() : ~0ull; }

    void step(uint64_t now) {
        bool changed = ripe() <= now;
        if (oscillator_ <= now) {
            top_->clk = !top_->clk;
            oscillator_ = now + OSCILLATOR;
            changed = true;
        }
        if (line_.next() <= now) {
            line_.send(now);
            changed |= top_->rx != line_.level;
            top_->rx = line_.level;
        }
        while (wires_.next() <= now) changed |= arrive(now, wires_.take());
        const bool awake = options_.restless || now < awake_until_;
        if (top_->awake != awake) {
            top_->awake = awake;
            changed = true;
        }
        if (changed) evaluate();
        if (line_.look() <= now) line_.sample(top_->tx);
    }

    // Something at the chip, or at the FPGA; whether that changes an input of the FPGA.
    bool arrive(uint64_t now, const Arrival &it) {
        switch (it.wire) {
            case Wire::CLOCK:
                chip_.clock(now, it.value & 1, it.value >> 1);
                for (const auto &drive : chip_.drives) give(drive);
                return false;
            case Wire::COMMANDS: chip_.commands(now, commands(it.value)); return false;
            case Wire::STROBE: chip_.strobe(now, it.lane, it.value, it.driven); return false;
            case Wire::CHIP: conflict(now, it.lane); return false;
            case Wire::DATA:
                fpga_drives_[it.lane] = it.driven;
                chip_.data(now, it.lane, uint8_t(it.value), it.driven, it.value >> 8 & 1);
                conflict(now, it.lane);
                return false;
            default: break;
        }
        // The FPGA's side of a data wire. One that nobody drives keeps its level.
        if (!it.driven) return false;
        const int shift = 8 * it.lane;
        const uint16_t before = top_->dq;
        top_->dq = uint16_t((before & ~(0xFF << shift)) | it.value << shift | options_.stuck);
        return top_->dq != before;
    }

    // The chip drives at its own pins at that time; the far end sees it later.
    void give(const Drive &drive) {
        const int lane = drive.lane ^ int(options_.crossed);
        awake_until_ = std::max(awake_until_, drive.at + AWAKE);
        if (drive.driven) {
            if (!drives_until_[drive.lane] || drives_until_[drive.lane] < now()) drives_from_[drive.lane] = drive.at;
            drives_until_[drive.lane] = drive.at;
            wires_.put(drive.at, Wire::CHIP, drive.lane, true, 0);
        }
        wires_.put(drive.at + options_.data[lane] + options_.entering, Wire::BACK, lane, drive.driven, drive.value);
    }

    void conflict(uint64_t at, int lane) {
        if (!fpga_drives_[lane] || at < drives_from_[lane] || at > drives_until_[lane]) return;
        if (!conflicts_++) complaints.add(at, "lane %d: chip and FPGA drive the data wires at once.", lane);
    }

    static Pins commands(uint32_t word) {
        const auto bit = [word](int index) { return bool(word >> index & 1); };
        return {bit(0), bit(1), bit(2), bit(3), bit(4), bit(5), int(word >> 6 & 7), int(word >> 9 & 0x3FFF)};
    }

    void evaluate() {
        top_->eval();
        evaluations_++;
        const uint64_t out = now() + options_.leaving;
        rested_ |= top_->asleep;
        if (top_->ck != ck_) {
            ck_ = top_->ck;
            wires_.put(out + options_.clock, Wire::CLOCK, 0, true, ck_ | rested_ << 1);
            if (ck_) rested_ = false;
        }
        if (top_->commands != commands_) {
            commands_ = top_->commands;
            wires_.put(out + options_.commands, Wire::COMMANDS, 0, true, commands_);
        }
        for (int lane = 0; lane < LANES; lane++) {
            const int shift = 8 * lane, other = 8 * (lane ^ int(options_.crossed));
            const uint32_t driven = top_->dq__en >> shift & 1, value = (top_->dq__out | options_.stuck) >> shift & 0xFF;
            // A mask has its own wire beside the data's: data that changed places come with the other lane's mask.
            const uint32_t data = value | (top_->dm >> (other / 8) & 1) << 8 | driven << 9;
            if (data != data_[lane]) {
                data_[lane] = data;
                wires_.put(out + options_.data[lane], Wire::DATA, other / 8, driven, data & 0x1FF);
            }
            const uint32_t strobe = (top_->dqs__out >> lane & 1) | (top_->dqs__en >> lane & 1) << 1;
            if (strobe != strobe_[lane]) {
                strobe_[lane] = strobe;
                wires_.put(out + options_.strobe[lane], Wire::STROBE, lane, strobe >> 1, strobe & 1);
            }
        }
        if (top_->tx != tx_) {
            tx_ = top_->tx;
            line_.changed(now(), tx_);
        }
    }

    Options options_;
    VerilatedContext context_;
    std::unique_ptr<Vpins> top_;
    SerialLine line_;
    Wires wires_;
    uint16_t *memory_;
    memory_chip::Chip chip_;
    uint64_t oscillator_ = OSCILLATOR, awake_until_ = 0, evaluations_ = 0, conflicts_ = 0;
    uint64_t drives_from_[LANES] = {}, drives_until_[LANES] = {};
    uint32_t commands_ = 0, data_[LANES] = {}, strobe_[LANES] = {};
    bool ck_ = false, tx_ = true, rested_ = false, fpga_drives_[LANES] = {};
};

EXPORT PinBoard *pins_open(const Options *options) {
    try {
        return new PinBoard(*options);
    } catch (const std::bad_alloc &) {
        return nullptr;
    }
}
EXPORT void pins_close(PinBoard *board) { delete board; }
EXPORT uint64_t pins_time(PinBoard *board) { return board->now(); }
EXPORT void pins_run(PinBoard *board, uint64_t until, size_t bytes) { board->run(until, bytes); }
EXPORT void pins_button(PinBoard *board, int pressed) { board->button(pressed); }
EXPORT int pins_lamps(PinBoard *board) { return board->lamps(); }
EXPORT void pins_send(PinBoard *board, const uint8_t *bytes, size_t count) {
    board->line().unsent.insert(board->line().unsent.end(), bytes, bytes + count);
}
EXPORT size_t pins_unsent(PinBoard *board) { return board->line().unsent.size() + board->line().sending(); }
EXPORT size_t pins_receive(PinBoard *board, uint8_t *bytes, size_t most) {
    auto &received = board->line().received;
    const size_t count = std::min(most, received.size());
    std::copy(received.begin(), received.begin() + count, bytes);
    received.erase(received.begin(), received.begin() + count);
    return count;
}
EXPORT int pins_copy(PinBoard *board, int write, uint64_t address, uint8_t *bytes, size_t count) {
    if (address > 2 * memory_chip::WORDS || count > 2 * memory_chip::WORDS - address) return 0;
    if (write) std::memcpy(board->memory() + address, bytes, count);
    else std::memcpy(bytes, board->memory() + address, count);
    return 1;
}
EXPORT uint64_t pins_complaints(PinBoard *board) { return board->complaints.count(); }
EXPORT const char *pins_complaint(PinBoard *board, size_t index) { return board->complaints.text(index); }
EXPORT void pins_statistics(PinBoard *board, Statistics *into) { *into = board->statistics(); }
