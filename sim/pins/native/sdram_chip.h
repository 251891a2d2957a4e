// A SDR SDRAM chip of 32 MB (MT48LC16M16A2-75), x16, at its balls: power-up, mode register, commands, single words.
// Times after Micron's data sheet. Its interface is the one of `ddr3::Chip`; strobes it has none.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "chip.h"

namespace sdram {

constexpr int BANKS = 4, ROW_BITS = 13, COLUMN_BITS = 9;
constexpr uint64_t WORDS = 1ull << (ROW_BITS + 2 + COLUMN_BITS);
constexpr Picoseconds T_RCD = 20000, T_RP = 20000, T_RC = 66000, T_RAS = 44000, T_RRD = 15000, T_RFC = 66000;
constexpr Picoseconds T_RAS_MOST = 120000000, T_REFRESH = 9 * 7812500ull, T_WAKE = 100000000;
constexpr Picoseconds T_IS = 1500, T_IH = 800, T_AC[] = {0, 0, 6000, 5400}, T_OH = 2700, TCK_LEAST[] = {0, 0, 10000, 7500};
constexpr Picoseconds T_WR = 15000;
constexpr int N_MRD = 2;

class Chip {
public:
    Chip(Complaints &complaints, uint16_t *memory, int) : complaints_(complaints), memory_(memory) {}

    std::vector<Drive> drives;
    Counts counts{};
    int cas_latency() const { return cl_; }
    int write_latency() const { return 0; }

    void commands(Picoseconds now, const Pins &pins) {
        if (selected_ && now - clocked_at_ < T_IH)
            complaints_.add(now, "commands change %d ps after the clock's edge, %d are needed.", int(now - clocked_at_), int(T_IH));
        if (pins.cke && !pins_.cke) woken_at_ = now;
        pins_ = pins, changed_at_ = now;
    }

    void data(Picoseconds now, int lane, uint8_t value, bool driven, bool mask) {
        if (taken_at_ && now - taken_at_ < T_IH)
            complaints_.add(now, "lane %d: data change %d ps after the clock's edge, %d are needed.", lane, int(now - taken_at_), int(T_IH));
        lanes_[lane] = {value, driven, mask, now};
    }

    void strobe(Picoseconds, int, bool, bool) {}

    void clock(Picoseconds now, bool level, bool) {
        drives.clear();
        if (!level) return;
        counts.clocks++;
        tck_ = clocked_at_ ? now - clocked_at_ : tck_;
        clocked_at_ = now;
        selected_ = pins_.cke && !pins_.cs_n;
        if (!selected_) return;
        const int command = pins_.ras_n << 2 | pins_.cas_n << 1 | pins_.we_n;
        if (now - changed_at_ < T_IS)
            complaints_.add(now, "commands change %d ps before the clock's edge, %d are needed.", int(now - changed_at_), int(T_IS));
        if (command != 7 && now - woken_at_ < T_WAKE) {
            // What the controller sends as soon as it has a clock finds a chip that is not awake yet.
            if (mode_ || command == 0) complaints_.add(now, "a command comes %.1f us after CKE, 100 are needed.", 1e-6 * double(now - woken_at_));
            return;
        }
        obey(now, command);
    }

private:
    struct Lane {
        uint8_t value = 0;
        bool driven = false, mask = false;
        Picoseconds changed_at = 0;
    };
    struct Bank {
        bool open = false;
        int row = 0;
        Picoseconds activated = 0, precharged = 0, written = 0;
    };

    void after(Picoseconds now, Picoseconds before, Picoseconds least, const char *what, const char *behind) {
        const int64_t passed = int64_t(now) - int64_t(before);
        if (before && passed + 10 < int64_t(least))
            complaints_.add(now, "%s comes %.2f ns after %s, and %.2f are needed.", what, 1e-3 * double(passed), behind, 1e-3 * double(least));
    }

    void obey(Picoseconds now, int command) {
        const int bank = pins_.bank & 3, address = pins_.address;
        Bank &it = bank_[bank];
        if (command != 7 && command != 6) {
            after(now, refreshed_, T_RFC, "a command", "REFRESH (tRFC)");
            after(now, moded_, N_MRD * tck_, "a command", "MODE REGISTER SET (tMRD)");
        }
        switch (command) {
            case 0: mode(now, address); break;
            case 1: refresh(now); break;
            case 2:
                for (int each = 0; each < BANKS; each++)
                    if (each == bank || address >> 10 & 1) precharge(now, bank_[each]);
                break;
            case 3:
                counts.activates++;
                if (it.open) complaints_.add(now, "ACTIVATE of bank %d, whose row %d is open.", bank, it.row);
                after(now, it.precharged, T_RP, "ACTIVATE", "PRECHARGE of its bank (tRP)");
                after(now, it.activated, T_RC, "ACTIVATE", "ACTIVATE of its bank (tRC)");
                after(now, activated_, T_RRD, "ACTIVATE", "ACTIVATE of another bank (tRRD)");
                it.open = true, it.row = address & ((1 << ROW_BITS) - 1), it.activated = activated_ = now;
                break;
            case 4:
            case 5: access(now, it, command == 4); break;
            default: break;
        }
    }

    void mode(Picoseconds now, int value) {
        idle(now, "MODE REGISTER SET");
        cl_ = value >> 4 & 7, mode_ = true, moded_ = now;
        if (cl_ != 2 && cl_ != 3) complaints_.add(now, "the mode register asks for a CAS latency of %d; 2 and 3 there are.", cl_);
        else if (tck_ + 10 < TCK_LEAST[cl_]) complaints_.add(now, "a clock of %d ps is too fast for a CAS latency of %d.", int(tck_), cl_);
        if (value & 0xF) complaints_.add(now, "the mode register asks for bursts, and single words are expected.");
    }

    void refresh(Picoseconds now) {
        counts.refreshes++;
        idle(now, "REFRESH");
        if (counted_ >= 2 && now - refreshed_ > T_REFRESH)
            complaints_.add(now, "%.1f us passed between two REFRESH, and 70.3 may.", 1e-6 * double(now - refreshed_));
        if (mode_ && counts.reads + counts.writes) counted_ = 2;
        refreshed_ = now, since_power_++;
    }

    void idle(Picoseconds now, const char *what) {
        for (int bank = 0; bank < BANKS; bank++) {
            if (bank_[bank].open) complaints_.add(now, "%s while row %d of bank %d is open.", what, bank_[bank].row, bank);
            after(now, bank_[bank].precharged, T_RP, what, "PRECHARGE (tRP)");
        }
    }

    void precharge(Picoseconds now, Bank &it) {
        if (it.open) {
            after(now, it.activated, T_RAS, "PRECHARGE", "ACTIVATE of its bank (tRAS)");
            after(now, it.written, T_WR, "PRECHARGE", "WRITE of its bank (tWR)");
            if (now - it.activated > T_RAS_MOST) complaints_.add(now, "a row was open for more than 120 us (tRAS).");
        }
        it.open = false, it.precharged = now;
    }

    void access(Picoseconds now, Bank &it, bool write) {
        const char *name = write ? "WRITE" : "READ";
        (write ? counts.writes : counts.reads)++;
        if (!mode_ || since_power_ < 2) complaints_.add(now, "%s before the mode register is set and two REFRESH were made.", name);
        if (!it.open) {
            complaints_.add(now, "%s of a bank that has no open row.", name);
            return;
        }
        after(now, it.activated, T_RCD, name, "ACTIVATE of its bank (tRCD)");
        const uint64_t bank = uint64_t(&it - bank_);
        uint16_t &word = memory_[((uint64_t(it.row) * BANKS + bank) << COLUMN_BITS) + (pins_.address & ((1 << COLUMN_BITS) - 1))];
        if (write) take(now, word);
        else give(now, word);
        if (write) it.written = now;
        if (pins_.address >> 10 & 1) {
            it.open = false;
            it.precharged = std::max(it.activated + T_RAS, write ? now + T_WR : now + tck_);
        }
    }

    void take(Picoseconds now, uint16_t &word) {
        for (int lane = 0; lane < LANES; lane++) {
            const Lane &it = lanes_[lane];
            if (it.mask) continue;
            if (!it.driven) complaints_.add(now, "lane %d: a WRITE finds nobody at the data wires.", lane);
            if (now - it.changed_at < T_IS)
                complaints_.add(now, "lane %d: data change %d ps before the clock's edge, %d are needed.", lane, int(now - it.changed_at), int(T_IS));
            word = uint16_t((word & ~(0xFF << 8 * lane)) | it.value << 8 * lane);
        }
        taken_at_ = now;
    }

    // The word is there from tAC behind the edge before the one that takes it, until tOH behind that one.
    void give(Picoseconds now, uint16_t word) {
        const Picoseconds from = now + (cl_ - 1) * tck_;
        for (int lane = 0; lane < LANES; lane++) drives.push_back({from + T_AC[cl_ == 3 ? 3 : 2], lane, true, uint8_t(word >> 8 * lane)});
        for (int lane = 0; lane < LANES; lane++) drives.push_back({from + tck_ + T_OH, lane, false, 0});
    }

    Complaints &complaints_;
    uint16_t *memory_;
    Pins pins_{};
    Lane lanes_[LANES];
    Bank bank_[BANKS];
    Picoseconds changed_at_ = 0, clocked_at_ = 0, tck_ = 0, woken_at_ = 0, activated_ = 0, refreshed_ = 0, moded_ = 0, taken_at_ = 0;
    bool selected_ = false, mode_ = false;
    int cl_ = 0, since_power_ = 0, counted_ = 0;
};

}  // namespace sdram
