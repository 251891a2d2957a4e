// The memory behind the machine's port: bytes, and the time at which the port sees them.
//
// Commands take effect in their order. A write waits for its word, which may come before or after its command; data are
// read and written when a command enters the controller, so a read sees every write before it.
#pragma once

#include <cstdlib>
#include <cstring>
#include <deque>
#include <new>

#include "dram_controller.h"
#include "stall.h"

namespace emulator {

constexpr int BEAT_BYTES = 16, BEAT_WORDS = 4;

// The same fields in the same order as `Statistics` in library.py.
struct Statistics {
    uint64_t beats_read, beats_written, rows_opened, refreshes;
    uint64_t out_of_range, first_out_of_range, refused;  // commands beyond the end; words that the user did not take
    uint64_t cycles[CAUSES];
};

struct Beat {
    uint32_t words[BEAT_WORDS];
};

class MemoryModel {
  public:
    MemoryModel(uint64_t bytes, const Timing &timing)
        : timing_(timing), controller_(timing), bytes_(bytes),
          command_stall_(timing.seed, 0, timing.command_stall, timing.command_stall_cycles),
          word_stall_(timing.seed, 1, timing.word_stall, timing.word_stall_cycles),
          answer_stall_(timing.seed, 2, timing.answer_stall, timing.answer_stall_cycles) {
        // calloc's pages come into being when touched: a memory of many megabytes costs what is used of it.
        store_ = static_cast<uint8_t *>(std::calloc(bytes, 1));
        if (!store_) throw std::bad_alloc();
        reset();
    }
    ~MemoryModel() { std::free(store_); }
    MemoryModel(const MemoryModel &) = delete;
    MemoryModel &operator=(const MemoryModel &) = delete;

    // Forgets what is under way and the statistics; the bytes stay, and the random pauses go on.
    void reset() {
        controller_.reset();
        commands_.clear();
        words_.clear();
        entered_.clear();
        due_.clear();
        now_ = writes_under_way_ = words_owed_ = 0;
        phase_ = 0;
        statistics_ = Statistics();
        cmd_ready = true;
        wdata_ready = !timing_.words_follow;
        rdata_valid = false;
    }

    // The end of a machine cycle, with what the machine drove in it; the outputs are those of the next one.
    void tick(bool cmd_valid, uint64_t address, bool write, bool wdata_valid, const uint32_t *wdata, uint16_t mask,
              bool rdata_ready) {
        if (rdata_valid && !rdata_ready) statistics_.refused++;
        if (cmd_valid && cmd_ready) {
            commands_.push_back({address, write, now_ + timing_.crossing});
            words_owed_ += write;
        }
        if (wdata_valid && wdata_ready) {
            words_owed_--;
            words_.push_back({});
            std::memcpy(words_.back().beat.words, wdata, BEAT_BYTES);
            words_.back().mask = mask;
        }
        for (phase_ += timing_.clock_num; phase_ >= timing_.clock_den; phase_ -= timing_.clock_den) memory_cycle();
        const bool commands_pause = command_stall_.step(), words_pause = word_stall_.step();
        const bool answers_pause = answer_stall_.step();
        cmd_ready = static_cast<int>(commands_.size()) < timing_.command_depth && !commands_pause;
        wdata_ready = static_cast<int>(words_.size()) < timing_.data_depth && !words_pause &&
                      (!timing_.words_follow || words_owed_ > 0);
        rdata_valid = !due_.empty() && due_.front() <= now_ && !answers_pause;
        if (rdata_valid) {
            rdata = entered_.front();
            entered_.pop_front();
            due_.pop_front();
        }
    }

    // Nothing is under way.
    bool quiet() const { return commands_.empty() && entered_.empty() && !rdata_valid && !writes_under_way_; }

    bool copy(bool write, uint64_t offset, uint8_t *bytes, uint64_t length) {
        if (offset > bytes_ || length > bytes_ - offset) return false;
        if (write) std::memcpy(store_ + offset, bytes, length);
        else std::memcpy(bytes, store_ + offset, length);
        return true;
    }

    const Statistics &statistics() {
        statistics_.rows_opened = controller_.rows_opened;
        statistics_.refreshes = controller_.refreshes;
        return statistics_;
    }

    bool cmd_ready = true, wdata_ready = true, rdata_valid = false;
    Beat rdata{};

  private:
    struct Command {
        uint64_t address;
        bool write;
        int64_t from;
    };
    struct Word {
        Beat beat;
        uint16_t mask;
    };

    void memory_cycle() {
        const bool waiting = !commands_.empty() && commands_.front().from <= now_;
        const bool complete = waiting && (!commands_.front().write || !words_.empty());
        auto issued = DramController::NOTHING;
        Cause cause = IDLE;
        if (timing_.banks) {
            if (complete && controller_.offer(commands_.front().address, commands_.front().write)) enter();
            issued = controller_.step(complete, cause);
        } else if (complete) {
            issued = commands_.front().write ? DramController::WRITE : DramController::READ;
            cause = TRANSFER;
            enter();
        }
        if (issued == DramController::READ) due_.push_back(now_ + timing_.read_latency + timing_.crossing);
        if (issued == DramController::WRITE) writes_under_way_--;
        statistics_.cycles[cause]++;
        now_++;
    }

    void enter() {
        const Command command = commands_.front();
        commands_.pop_front();
        const bool inside = command.address < bytes_ / BEAT_BYTES;
        uint8_t *place = store_ + (inside ? command.address * BEAT_BYTES : 0);
        if (!inside && !statistics_.out_of_range++) statistics_.first_out_of_range = command.address;
        if (command.write) {
            const Word word = words_.front();
            words_.pop_front();
            const auto *bytes = reinterpret_cast<const uint8_t *>(word.beat.words);
            for (int i = 0; inside && i < BEAT_BYTES; i++)
                if (word.mask >> i & 1) place[i] = bytes[i];
            writes_under_way_++;
            statistics_.beats_written++;
        } else {
            Beat beat{};
            if (inside) std::memcpy(beat.words, place, BEAT_BYTES);
            entered_.push_back(beat);
            statistics_.beats_read++;
        }
    }

    Timing timing_;
    DramController controller_;
    uint64_t bytes_;
    uint8_t *store_ = nullptr;
    std::deque<Command> commands_;
    std::deque<Word> words_;
    std::deque<Beat> entered_;
    std::deque<int64_t> due_;
    int64_t now_ = 0;
    int phase_ = 0, writes_under_way_ = 0;
    int words_owed_ = 0;  // commands of writes that were accepted, less their words
    Stall command_stall_, word_stall_, answer_stall_;
    Statistics statistics_{};
};

}  // namespace emulator
