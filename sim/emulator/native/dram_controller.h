// Timing of a DRAM controller with one user port, cycle by cycle: banks, open rows, turnarounds, refresh.
//
// The organisation is LiteDRAM's: each bank has a queue of commands and a stage in front of the multiplexer, closes
// its row by itself when the next command is to another row, and the port may have commands in one bank at a time.
// The multiplexer serves reads or writes and pays for the change. It knows no data.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace emulator {

// Memory cycles, unless it says otherwise. The same fields in the same order as `Timing` in library.py.
struct Timing {
    int32_t banks;         // 0: no DRAM, every command takes one cycle and `read_latency` applies
    int32_t row_beats;     // beats a row of one bank
    int32_t queue_depth;   // commands waiting in a bank
    int32_t read_latency;  // column command to data at the port
    int32_t t_rp;          // precharge to activate
    int32_t t_rcd;         // activate to column command
    int32_t t_ras;         // activate to precharge
    int32_t t_rc;          // activate to activate of the same bank
    int32_t t_rrd;         // activate to activate of another bank
    int32_t t_faw;         // a window with at most four activates; 0: none
    int32_t t_ccd;         // column command to column command: what a beat occupies the data bus
    int32_t t_wtp;         // write command to precharge
    int32_t t_wtr;         // write command to read command
    int32_t t_rtw;         // change from reads to writes
    int32_t t_refi;        // refresh interval; 0: none
    int32_t t_rfc;         // refresh to activate
    int32_t read_time;     // after so many cycles of reads a waiting write gets its turn
    int32_t write_time;    // and the reverse
    int32_t crossing;      // clock crossing each way
    int32_t clock_num;     // memory cycles
    int32_t clock_den;     //   per machine cycles
    int32_t command_depth; // commands accepted before the controller
    int32_t data_depth;    // write words accepted before the controller
    int32_t words_follow;  // 1: a write word is accepted only after its command
    int32_t refresh_burst; // refreshes one after the other, every t_refi
    int32_t seed;          // of the pauses below (stall.h)
    int32_t command_stall; // chance in 1024, each machine cycle, that commands pause
    int32_t command_stall_cycles; // the longest pause
    int32_t word_stall;    // the same for write words
    int32_t word_stall_cycles;
    int32_t answer_stall;  // and for words that were read
    int32_t answer_stall_cycles;
};

// What a memory cycle was spent on. The same order as `CAUSES` in library.py.
enum Cause { IDLE, TRANSFER, ROW, TURNAROUND, REFRESH, QUEUE, CAUSES };

class DramController {
  public:
    enum Issued { NOTHING, READ, WRITE };

    explicit DramController(const Timing &timing) : timing_(timing), banks_(timing.banks) { reset(); }

    void reset() {
        std::fill(banks_.begin(), banks_.end(), Bank());
        now_ = 0;
        mode_ = READS;
        mode_until_ = 0;
        mode_since_ = 0;
        grant_row_ = grant_column_ = last_column_ = 0;
        next_refresh_ = timing_.t_refi;
        refresh_wanted_ = false;
        refreshes_owed_ = 0;
        column_free_ = activate_free_ = read_free_ = 0;
        std::fill(activates_, activates_ + 4, -1000000);
        rows_opened = refreshes = 0;
    }

    // Whether the command is taken in this cycle; `step` must follow.
    bool offer(uint64_t address, bool write) {
        const uint64_t page = address / timing_.row_beats;
        const int number = static_cast<int>(page % banks_.size());
        for (int i = 0; i < static_cast<int>(banks_.size()); i++)
            if (i != number && (banks_[i].locked() || (i == last_column_ && now_ < column_free_))) return false;
        Bank &bank = banks_[number];
        if (bank.count >= timing_.queue_depth) return false;
        entering_ = &bank;
        entering_command_ = {static_cast<int64_t>(page / banks_.size()), write};
        return true;
    }

    // One memory cycle. Returns which column command was issued in it; `cause` says what the cycle went on.
    Issued step(bool waiting, Cause &cause) {
        uint32_t rows = 0, reads = 0, writes = 0;
        const bool refreshing = refresh_wanted_ || mode_ == REFRESHING;
        bool pending = waiting || entering_;
        bool quiet = true;
        for (size_t i = 0; i < banks_.size(); i++) {
            Bank &bank = banks_[i];
            pending |= bank.locked();
            quiet &= bank.state == REGULAR && !bank.locked();
            if (bank.state == REGULAR && bank.head_valid && bank.open && bank.row == bank.head.row && !refresh_wanted_)
                (bank.head.write ? writes : reads) |= 1u << i;
            else if (bank.state == PRECHARGE && now_ >= bank.precharge_free())
                rows |= 1u << i;
            else if (bank.state == ACTIVATE && now_ >= bank.cycle_free)
                rows |= 1u << i;
        }
        Issued issued = NOTHING;
        if (!quiet || refreshing || entering_) {
            const Mode mode = mode_;
            const bool serving = mode == READS || mode == WRITES;
            Bank *column = issue_column(mode == WRITES ? writes : reads, serving, issued);
            issue_row(rows, serving);
            switch_mode(reads, writes);
            for (Bank &bank : banks_) advance(bank, &bank == column);
        }
        if (entering_) {
            entering_->queue[(entering_->first + entering_->count++) % QUEUE_LIMIT] = entering_command_;
            entering_ = nullptr;
        }
        cause = classify(issued, pending, refreshing);
        if (timing_.t_refi && now_ >= next_refresh_) {
            refresh_wanted_ = true;
            refreshes_owed_ = timing_.refresh_burst;
            next_refresh_ += timing_.t_refi;
        }
        now_++;
        return issued;
    }

    uint64_t rows_opened = 0, refreshes = 0;

    static constexpr int QUEUE_LIMIT = 32;

  private:
    enum State { REGULAR, PRECHARGE, AUTOPRECHARGE, CLOSING, ACTIVATE, OPENING, REFRESHED };
    enum Mode { READS, WRITES, TO_WRITES, TO_READS, REFRESHING };
    struct Command {
        int64_t row;
        bool write;
    };
    struct Bank {
        State state = REGULAR;
        bool open = false, head_valid = false;
        int64_t row = -1, until = 0, entered = -1;
        int64_t cycle_free = 0, active_free = 0, write_free = 0;  // by tRC, tRAS, write recovery
        int count = 0, first = 0;
        Command head{}, queue[QUEUE_LIMIT];
        bool locked() const { return head_valid || count; }
        int64_t precharge_free() const { return std::max(active_free, write_free); }
    };

    // The arbiter's choice stands until it is accepted or withdraws, so a new bank costs a cycle.
    static int next_grant(int grant, uint32_t requests, int banks) {
        for (int i = 1; i < banks; i++)
            if (requests >> ((grant + i) % banks) & 1) return (grant + i) % banks;
        return grant;
    }

    Bank *issue_column(uint32_t requests, bool serving, Issued &issued) {
        const bool valid = requests >> grant_column_ & 1, ready = serving && now_ >= column_free_;
        Bank *column = nullptr;
        if (valid && ready) {
            column = &banks_[grant_column_];
            issued = column->head.write ? WRITE : READ;
            column_free_ = now_ + timing_.t_ccd;
            last_column_ = grant_column_;
            // A beat of several column commands holds its row to the last of them.
            column->active_free = std::max(column->active_free, now_ + timing_.t_ccd - 1);
            if (column->head.write) {
                column->write_free = now_ + timing_.t_wtp;
                read_free_ = now_ + timing_.t_wtr;
            }
        }
        if (ready || !valid) grant_column_ = next_grant(grant_column_, requests, timing_.banks);
        return column;
    }

    void issue_row(uint32_t requests, bool serving) {
        const bool valid = requests >> grant_row_ & 1;
        Bank &bank = banks_[grant_row_];
        const bool activate = bank.state == ACTIVATE;
        const bool allowed = now_ >= activate_free_ && (!timing_.t_faw || now_ >= activates_[0] + timing_.t_faw);
        const bool ready = serving && (!valid || !activate || allowed);
        if (valid && ready) {
            if (activate) {
                bank.cycle_free = now_ + timing_.t_rc;
                bank.active_free = now_ + timing_.t_ras;
                activate_free_ = now_ + timing_.t_rrd;
                std::copy(activates_ + 1, activates_ + 4, activates_);
                activates_[3] = now_;
                bank.open = true;
                bank.row = bank.head.row;
                rows_opened++;
                enter(bank, OPENING, timing_.t_rcd);
            } else {
                enter(bank, CLOSING, timing_.t_rp);
            }
        }
        if (ready || !valid) grant_row_ = next_grant(grant_row_, requests, timing_.banks);
    }

    void enter(Bank &bank, State state, int cycles) {
        bank.state = state;
        bank.until = now_ + cycles;
        bank.entered = now_;
    }

    void switch_mode(uint32_t reads, uint32_t writes) {
        const int64_t served = now_ - mode_since_;
        switch (mode_) {
        case READS:
        case WRITES: {
            bool granted = refresh_wanted_;
            for (const Bank &bank : banks_) granted &= bank.state == REFRESHED && now_ >= bank.write_free;
            if (granted) {
                mode_ = REFRESHING;
                mode_until_ = now_ + timing_.t_rp + timing_.t_rfc + 3;
                refreshes++;
            } else if (mode_ == READS && writes && (!reads || served >= timing_.read_time)) {
                mode_ = TO_WRITES;
                mode_until_ = now_ + timing_.t_rtw;
            } else if (mode_ == WRITES && reads && (!writes || served >= timing_.write_time)) {
                mode_ = TO_READS;
                mode_until_ = std::max(now_ + 2, read_free_ + 1);
            }
            break;
        }
        case REFRESHING:
            if (now_ + 1 >= mode_until_) refresh_wanted_ = --refreshes_owed_ > 0;
            [[fallthrough]];
        default:
            if (now_ + 1 >= mode_until_) {
                mode_ = mode_ == TO_WRITES ? WRITES : READS;
                mode_since_ = now_ + 1;
            }
        }
    }

    void advance(Bank &bank, bool issued) {
        const bool next = bank.count > 0;
        const bool other_row = next && bank.queue[bank.first].row != bank.head.row;
        switch (bank.state) {
        case REGULAR:
            if (refresh_wanted_) bank.state = REFRESHED;
            else if (bank.head_valid && !bank.open) bank.state = ACTIVATE;
            else if (bank.head_valid && bank.row != bank.head.row) bank.state = PRECHARGE;
            else if (issued && other_row) bank.state = AUTOPRECHARGE;
            break;
        case AUTOPRECHARGE:
            bank.open = false;
            if (now_ >= bank.precharge_free()) enter(bank, CLOSING, timing_.t_rp);
            break;
        case PRECHARGE:
            bank.open = false;
            break;
        case CLOSING:
            bank.open = false;
            if (now_ + 1 >= bank.until && now_ > bank.entered) bank.state = ACTIVATE;
            break;
        case OPENING:
            if (now_ + 1 >= bank.until && now_ > bank.entered) bank.state = REGULAR;
            break;
        case REFRESHED:
            bank.open = false;
            if (!refresh_wanted_) bank.state = REGULAR;
            break;
        case ACTIVATE:
            break;
        }
        if (next && (!bank.head_valid || issued)) {
            bank.head = bank.queue[bank.first];
            bank.first = (bank.first + 1) % QUEUE_LIMIT;
            bank.count--;
            bank.head_valid = true;
        } else if (issued) {
            bank.head_valid = false;
        }
    }

    Cause classify(Issued issued, bool pending, bool refreshing) const {
        if (issued != NOTHING || (pending && now_ < column_free_)) return TRANSFER;
        if (!pending) return IDLE;
        if (refreshing) return REFRESH;
        if (mode_ == TO_WRITES || mode_ == TO_READS) return TURNAROUND;
        for (const Bank &bank : banks_)
            if (bank.state != REGULAR && bank.locked()) return ROW;
        return QUEUE;
    }

    Timing timing_;
    std::vector<Bank> banks_;
    int64_t now_ = 0, mode_until_ = 0, mode_since_ = 0, next_refresh_ = 0;
    int64_t column_free_ = 0, activate_free_ = 0, read_free_ = 0, activates_[4];
    Mode mode_ = READS;
    bool refresh_wanted_ = false;
    int refreshes_owed_ = 0;
    int grant_row_ = 0, grant_column_ = 0, last_column_ = 0;
    Bank *entering_ = nullptr;
    Command entering_command_{};
};

}  // namespace emulator
