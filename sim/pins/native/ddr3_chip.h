// A DDR3 chip, x16, at its balls: power-up, mode registers, commands, bursts in and out.
//
// It knows rows and columns and so many words of 16 bits; lanes are the bytes of a word. Data come with the strobe's
// edges; data go out so many clocks after a READ as the mode register says, with a jitter that repeats from run to run.
#pragma once

#include <deque>
#include <vector>

#include "chip.h"
#include "ddr3_banks.h"

namespace ddr3 {

class Chip {
public:
    Chip(Complaints &complaints, uint16_t *memory, int jitter)
        : complaints_(complaints), banks_(complaints), memory_(memory), jitter_(jitter) {}

    std::vector<Drive> drives;  // of the last clock edge, in the order of their times
    Counts counts{};
    int cas_latency() const { return cl_; }
    int write_latency() const { return cwl_; }
    bool waits_for_data() const { return !bursts_[0].empty() || !bursts_[1].empty(); }

    void commands(Picoseconds now, const Pins &pins) {
        if (pins.reset_n != pins_.reset_n) reset_pin(now, pins.reset_n);
        if (pins.cke != pins_.cke) cke_pin(now, pins.cke);
        if (selected_ && now - clocked_at_ < T_IH)
            complaints_.add(now, "commands change %d ps after the clock's edge, %d are needed.", int(now - clocked_at_), int(T_IH));
        pins_ = pins, changed_at_ = now;
    }

    void data(Picoseconds now, int lane, uint8_t value, bool driven, bool mask) {
        Lane &it = lanes_[lane];
        if (it.taken_at && now - it.taken_at < T_DH)
            complaints_.add(now, "lane %d: data change %d ps after DQS, %d are needed.", lane, int(now - it.taken_at), int(T_DH));
        it.value = value, it.driven = driven, it.mask = mask, it.changed_at = now;
    }

    void strobe(Picoseconds now, int lane, bool level, bool driven) {
        Lane &it = lanes_[lane];
        const bool edge = driven && it.strobe_driven && level != it.strobe;
        it.strobe = level, it.strobe_driven = driven;
        overdue(now, lane);
        if (edge && !bursts_[lane].empty()) take(now, lane, level);
    }

    // `paused`: the clock rested before this edge, and the period says nothing.
    void clock(Picoseconds now, bool level, bool paused) {
        drives.clear();
        if (!level) {
            fallen_at_ = now;
            return;
        }
        counts.clocks++;
        period(now, paused);
        for (int lane = 0; lane < LANES; lane++) overdue(now, lane);
        clocked_at_ = now;
        selected_ = pins_.reset_n && pins_.cke && !pins_.cs_n;
        if (!selected_) return;
        if (now - changed_at_ < T_IS)
            complaints_.add(now, "commands change %d ps before the clock's edge, %d are needed.", int(now - changed_at_), int(T_IS));
        obey(now, pins_.ras_n << 2 | pins_.cas_n << 1 | pins_.we_n);
    }

private:
    enum class Stage { RESET, WAITING, AWAKE };
    struct Lane {
        uint8_t value = 0;
        bool driven = false, mask = false, strobe = false, strobe_driven = false;
        Picoseconds changed_at = 0, taken_at = 0, edge_at = 0;
    };
    struct Burst {
        Picoseconds expected;
        uint64_t row_start;
        int column, taken;
        uint8_t value[BURST];
        bool mask[BURST];
    };

    void reset_pin(Picoseconds now, bool level) {
        if (!level) {
            // What was before is forgotten: a chip that was never reset owes nothing, and keeps no rule.
            complaints_.clear();
            banks_.forget();
            for (auto &bursts : bursts_) bursts.clear();
            stage_ = Stage::RESET, moded_ = 0, calibrated_ = 0, locked_from_ = 0;
        } else if (stage_ == Stage::RESET) {
            if (now - stage_at_ < T_RESET) complaints_.add(now, "RESET# was low for %.1f us, 200 are needed.", 1e-6 * double(now - stage_at_));
            stage_ = Stage::WAITING;
        }
        stage_at_ = now;
    }

    void cke_pin(Picoseconds now, bool level) {
        if (stage_ == Stage::RESET && level) complaints_.add(now, "CKE is high while RESET# is low.");
        if (stage_ == Stage::AWAKE && !level) complaints_.add(now, "CKE falls; this model knows no power-down.");
        if (stage_ != Stage::WAITING || !level) return;
        if (now - stage_at_ < T_CKE_LOW) complaints_.add(now, "CKE rises %.1f us after RESET#, 500 are needed.", 1e-6 * double(now - stage_at_));
        stage_ = Stage::AWAKE, stage_at_ = now;
    }

    void period(Picoseconds now, bool paused) {
        const Picoseconds found = now - clocked_at_;
        if (paused || !clocked_at_) return;
        if (found < TCK_LEAST || found > TCK_MOST) {
            if (stage_ != Stage::RESET) complaints_.add(now, "the clock's period is %d ps.", int(found));
            return;
        }
        const double high = double(fallen_at_ - clocked_at_) / double(found);
        if (stage_ == Stage::AWAKE && (high < T_CH_LEAST || high > T_CH_MOST))
            complaints_.add(now, "the clock is high for %.0f %% of its period.", 100 * high);
        tck_ = found;
    }

    void obey(Picoseconds now, int command) {
        if (stage_ != Stage::AWAKE || now - stage_at_ < std::max(T_XPR, N_XPR * tck_)) {
            if (command != 7) complaints_.add(now, "a command comes before the chip has woken up (RESET#, CKE, tXPR).");
            return;
        }
        const int bank = pins_.bank, address = pins_.address;
        switch (command) {
            case 0: mode(now, bank, address); break;
            case 1: counts.refreshes++, banks_.refresh(now, tck_); break;
            case 2:
                for (int each = 0; each < BANKS; each++)
                    if (each == bank || address >> 10 & 1) banks_.precharge(now, tck_, each, cwl_);
                break;
            case 3: counts.activates++, banks_.activate(now, tck_, bank, address & ((1 << ROW_BITS) - 1)); break;
            case 4: access(now, bank, address, true); break;
            case 5: access(now, bank, address, false); break;
            case 6:
                banks_.calibrate(now, tck_, calibrated_ ? address >> 10 & 1 ? N_ZQOPER : N_ZQCS : N_ZQINIT);
                if (!calibrated_ && !(address >> 10 & 1)) complaints_.add(now, "the first ZQ CALIBRATION is to be a long one.");
                calibrated_ = now;
                break;
            default: break;
        }
    }

    void mode(Picoseconds now, int which, int value) {
        banks_.mode(now, tck_);
        moded_ |= 1 << which;
        if (which == 0) {
            const int code = value >> 4 & 7;
            cl_ = value >> 2 & 1 ? code + 12 : code + 4;
            recovery_ = (value >> 9 & 7) == 0 ? 16 : (value >> 9 & 7) < 4 ? (value >> 9 & 7) + 4 : 2 * (value >> 9 & 7);
            if (value & 3) complaints_.add(now, "mode register 0: bursts of 8 are expected.");
            if (value >> 3 & 1) complaints_.add(now, "mode register 0: interleaved bursts are not modelled.");
            if (cl_ < 5 || cl_ > 14) complaints_.add(now, "mode register 0: there is no such CAS latency.");
            if (value >> 8 & 1) locked_from_ = now;
        } else if (which == 1) {
            if (value & 1) complaints_.add(now, "mode register 1 turns the DLL off.");
            if (value & 0x1098) complaints_.add(now, "mode register 1: additive latency, write leveling, outputs off are not modelled.");
        } else if (which == 2) {
            cwl_ = 5 + (value >> 3 & 7);
        } else if (value & 7) {
            complaints_.add(now, "mode register 3: the read-out pattern is not modelled.");
        }
    }

    void access(Picoseconds now, int bank, int address, bool write) {
        (write ? counts.writes : counts.reads)++;
        const bool ready = moded_ == 15 && calibrated_ && locked_from_ && now - locked_from_ >= N_DLLK * tck_;
        if (!ready) complaints_.add(now, "%s before the mode registers are set, ZQ calibrated, the DLL locked.", write ? "WRITE" : "READ");
        const uint64_t row_start = (uint64_t(banks_.row(bank)) * BANKS + bank) << COLUMN_BITS;
        if (!banks_.access(now, tck_, bank, write, cl_, cwl_) || !ready) return;
        const int column = address & ((1 << COLUMN_BITS) - 1);
        if (write)
            for (auto &bursts : bursts_) bursts.push_back({now + cwl_ * tck_, row_start, column, 0, {}, {}});
        else
            give(now + cl_ * tck_, row_start, column);
        if (address >> 10 & 1) banks_.precharge_later(now, tck_, bank, write, cwl_, recovery_);
    }

    static int place(int column, int index) { return (column & ~7) | (column & 4) ^ (index & 4) | ((column + index) & 3); }

    void give(Picoseconds first, uint64_t row_start, int column) {
        for (int index = 0; index < BURST; index++)
            for (int lane = 0; lane < LANES; lane++) {
                const uint16_t word = memory_[row_start + place(column, index)];
                drives.push_back({first + index * tck_ / 2 + shake(), lane, true, uint8_t(word >> 8 * lane)});
            }
        for (int lane = 0; lane < LANES; lane++) drives.push_back({first + BURST * tck_ / 2 + jitter_ + 1, lane, false, 0});
    }

    // A number of 0 to twice the jitter, less the jitter (xorshift, Marsaglia 2003).
    int64_t shake() {
        random_ ^= random_ << 13, random_ ^= random_ >> 17, random_ ^= random_ << 5;
        return jitter_ ? int64_t(random_ % (2 * jitter_ + 1)) - jitter_ : 0;
    }

    // Bursts whose first strobe edge should have been there by now.
    void overdue(Picoseconds now, int lane) {
        auto &bursts = bursts_[lane];
        while (!bursts.empty() && !bursts.front().taken && now > bursts.front().expected + Picoseconds(T_DQSS * double(tck_)) + 1) {
            complaints_.add(now, "lane %d: DQS does not rise where a WRITE's data should begin, at %.4f us (tDQSS).", lane,
                            1e-6 * double(bursts.front().expected));
            spoil(lane);
        }
    }

    void take(Picoseconds now, int lane, bool rising) {
        Lane &it = lanes_[lane];
        Burst &burst = bursts_[lane].front();
        if (!burst.taken && (!rising || now + Picoseconds(T_DQSS * double(tck_)) + 1 < burst.expected)) return;
        if (burst.taken) {
            const double part = double(now - it.edge_at) / double(tck_);
            if (part < T_DQSH_LEAST || part > T_DQSH_MOST)
                complaints_.add(now, "lane %d: DQS's half period is %.0f %% of the clock's.", lane, 100 * part);
        }
        if (now - it.changed_at < T_DS)
            complaints_.add(now, "lane %d: data change %d ps before DQS, %d are needed.", lane, int(now - it.changed_at), int(T_DS));
        if (!it.driven) complaints_.add(now, "lane %d: DQS asks for data that nobody drives.", lane);
        burst.value[burst.taken] = it.driven ? it.value : uint8_t(shake());
        burst.mask[burst.taken] = it.mask;
        it.edge_at = it.taken_at = now;
        if (++burst.taken == BURST) store(lane);
    }

    void store(int lane) {
        const Burst &burst = bursts_[lane].front();
        for (int index = 0; index < BURST; index++)
            if (!burst.mask[index]) {
                uint16_t &word = memory_[burst.row_start + place(burst.column, index)];
                word = uint16_t((word & ~(0xFF << 8 * lane)) | burst.value[index] << 8 * lane);
            }
        bursts_[lane].pop_front();
    }

    // What is in the cells of a burst that came at another time than it should is anybody's guess.
    void spoil(int lane) {
        Burst &burst = bursts_[lane].front();
        for (int index = 0; index < BURST; index++) burst.value[index] = uint8_t(random_ >> index), burst.mask[index] = false;
        shake();
        store(lane);
    }

    Complaints &complaints_;
    Banks banks_;
    uint16_t *memory_;
    int jitter_;
    uint32_t random_ = 0x2545F491;
    Pins pins_{};
    Lane lanes_[LANES];
    std::deque<Burst> bursts_[LANES];
    Stage stage_ = Stage::RESET;  // the board holds RESET# low from power-on until the FPGA drives it
    Picoseconds stage_at_ = 0, changed_at_ = 0, clocked_at_ = 0, fallen_at_ = 0, tck_ = 2500, calibrated_ = 0, locked_from_ = 0;
    bool selected_ = false;
    int moded_ = 0, cl_ = 0, cwl_ = 0, recovery_ = 16;
};

}  // namespace ddr3
