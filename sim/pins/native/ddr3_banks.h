// Banks of a DDR3 chip and the rules between its commands: which command may come when.
#pragma once

#include <algorithm>
#include <cmath>

#include "ddr3_timing.h"

namespace ddr3 {

// Times of the last commands; 0 where there was none.
class Banks {
public:
    explicit Banks(Complaints &complaints) : complaints_(complaints) {}

    void forget() { *this = Banks(complaints_); }
    Banks &operator=(const Banks &other) {
        std::copy(other.bank_, other.bank_ + BANKS, bank_);
        std::copy(other.activated_, other.activated_ + 4, activated_);
        read_ = other.read_, write_ = other.write_, refreshed_ = other.refreshed_, moded_ = other.moded_;
        calibrated_until_ = other.calibrated_until_, refreshing_ = other.refreshing_;
        return *this;
    }

    bool open(int bank) const { return bank_[bank].open; }
    int row(int bank) const { return bank_[bank].row; }

    void activate(Picoseconds now, Picoseconds tck, int bank, int row) {
        common(now, tck, "ACTIVATE");
        Bank &it = bank_[bank];
        if (it.open) complaints_.add(now, "ACTIVATE of bank %d, whose row %d is open.", bank, it.row);
        after(now, it.precharged, T_RP, "ACTIVATE", "PRECHARGE of its bank (tRP)");
        after(now, it.activated, T_RC, "ACTIVATE", "ACTIVATE of its bank (tRC)");
        after(now, activated_[3], std::max(T_RRD, N_RRD * tck), "ACTIVATE", "ACTIVATE of another bank (tRRD)");
        after(now, activated_[0], T_FAW, "ACTIVATE", "fourth ACTIVATE before (tFAW)");
        std::copy(activated_ + 1, activated_ + 4, activated_);
        activated_[3] = it.activated = now;
        it.open = true, it.row = row;
    }

    bool access(Picoseconds now, Picoseconds tck, int bank, bool write, int cl, int cwl) {
        const char *name = write ? "WRITE" : "READ";
        common(now, tck, name);
        Bank &it = bank_[bank];
        if (!it.open) {
            complaints_.add(now, "%s of bank %d, which has no open row.", name, bank);
            return false;
        }
        after(now, it.activated, T_RCD, name, "ACTIVATE of its bank (tRCD)");
        after(now, write ? write_ : read_, N_CCD * tck, name, "the same before (tCCD)");
        if (write) after(now, read_, (cl + N_CCD + 2 - cwl) * tck, name, "READ (the turn of the data bus)");
        else after(now, write_, (cwl + BURST / 2) * tck + std::max(T_WTR, N_WTR * tck), name, "WRITE (tWTR)");
        (write ? write_ : read_) = (write ? it.written : it.read) = now;
        return true;
    }

    void precharge(Picoseconds now, Picoseconds tck, int bank, int cwl) {
        common(now, tck, "PRECHARGE");
        Bank &it = bank_[bank];
        if (!it.open) return;
        after(now, it.activated, T_RAS, "PRECHARGE", "ACTIVATE of its bank (tRAS)");
        after(now, it.read, std::max(T_RTP, N_RTP * tck), "PRECHARGE", "READ of its bank (tRTP)");
        after(now, it.written, (cwl + BURST / 2) * tck + T_WR, "PRECHARGE", "WRITE of its bank (tWR)");
        // Before the first REFRESH whoever brings the memory up takes its time, and keeps nothing in it.
        if (refreshing_ && now - it.activated > T_RAS_MOST) complaints_.add(now, "bank %d was open for more than 70.2 us (tRAS).", bank);
        it.open = false, it.precharged = now;
    }

    // What A10 asks of a READ or WRITE: the chip closes the row by itself as soon as it may.
    void precharge_later(Picoseconds now, Picoseconds tck, int bank, bool write, int cwl, int recovery) {
        Bank &it = bank_[bank];
        const Picoseconds own = now + (write ? (cwl + BURST / 2 + recovery) * tck : std::max(T_RTP, N_RTP * tck));
        it.open = false, it.precharged = std::max(it.activated + T_RAS, own);
    }

    void refresh(Picoseconds now, Picoseconds tck) {
        idle(now, tck, "REFRESH");
        if (refreshing_ && now - refreshed_ > 9 * T_REFI)
            complaints_.add(now, "%.1f us passed between two REFRESH, and 70.2 may.", 1e-6 * double(now - refreshed_));
        refreshed_ = now, refreshing_ = true;
    }

    void mode(Picoseconds now, Picoseconds tck) {
        idle(now, tck, "MODE REGISTER SET");
        after(now, moded_, N_MRD * tck, "MODE REGISTER SET", "the same before (tMRD)");
        moded_ = now;
    }

    void calibrate(Picoseconds now, Picoseconds tck, int clocks) {
        idle(now, tck, "ZQ CALIBRATION");
        calibrated_until_ = now + clocks * tck;
    }

private:
    struct Bank {
        bool open = false;
        int row = 0;
        Picoseconds activated = 0, precharged = 0, read = 0, written = 0;
    };

    // Clocks that are not quite as long as they should be do not make a command early.
    void after(Picoseconds now, Picoseconds before, Picoseconds least, const char *what, const char *behind) {
        const int64_t passed = int64_t(now) - int64_t(before);
        if (before && passed + 10 < int64_t(least))
            complaints_.add(now, "%s comes %.2f ns after %s, and %.2f are needed.", what, 1e-3 * double(passed), behind,
                            1e-3 * double(least));
    }
    void common(Picoseconds now, Picoseconds tck, const char *what) {
        after(now, refreshed_, T_RFC, what, "REFRESH (tRFC)");
        after(now, moded_, std::max(T_MOD, N_MOD * tck), what, "MODE REGISTER SET (tMOD)");
        if (now + 10 < calibrated_until_) complaints_.add(now, "%s before ZQ CALIBRATION has ended.", what);
    }
    void idle(Picoseconds now, Picoseconds, const char *what) {
        after(now, refreshed_, T_RFC, what, "REFRESH (tRFC)");
        if (now + 10 < calibrated_until_) complaints_.add(now, "%s before ZQ CALIBRATION has ended.", what);
        for (int bank = 0; bank < BANKS; bank++) {
            if (bank_[bank].open) complaints_.add(now, "%s while row %d of bank %d is open.", what, bank_[bank].row, bank);
            after(now, bank_[bank].precharged, T_RP, what, "PRECHARGE (tRP)");
        }
    }

    Complaints &complaints_;
    Bank bank_[BANKS];
    Picoseconds activated_[4] = {}, read_ = 0, write_ = 0, refreshed_ = 0, moded_ = 0, calibrated_until_ = 0;
    bool refreshing_ = false;
};

}  // namespace ddr3
