// Times of a MT41K128M16JT-125 (2 Gbit, x16, DDR3L-1600 grade) in picoseconds, after Micron's data sheet; nCK where it
// says clocks.
#pragma once

#include "complaints.h"

namespace ddr3 {

constexpr int BANKS = 8, ROW_BITS = 14, COLUMN_BITS = 10, BURST = 8;
constexpr uint64_t WORDS = 1ull << (ROW_BITS + 3 + COLUMN_BITS);

constexpr Picoseconds ns(double value) { return Picoseconds(value * 1000.0 + 0.5); }
constexpr Picoseconds us(double value) { return ns(value * 1000.0); }

constexpr Picoseconds T_RCD = ns(13.75), T_RP = ns(13.75), T_RC = ns(48.75), T_RAS = ns(35), T_FAW = ns(40);
constexpr Picoseconds T_RRD = ns(7.5), T_WTR = ns(7.5), T_RTP = ns(7.5), T_WR = ns(15), T_MOD = ns(15), T_RFC = ns(160);
constexpr Picoseconds T_XPR = T_RFC + ns(10), T_REFI = us(7.8), T_RAS_MOST = 9 * T_REFI;
constexpr Picoseconds T_RESET = us(200), T_CKE_LOW = us(500);
constexpr Picoseconds T_IS = 220, T_IH = 210, T_DS = 75, T_DH = 95;  // with the derating for slopes of 1 V/ns
constexpr int N_RRD = 4, N_WTR = 4, N_RTP = 4, N_CCD = 4, N_MRD = 4, N_MOD = 12, N_XPR = 5, N_DLLK = 512;
constexpr int N_ZQINIT = 512, N_ZQOPER = 256, N_ZQCS = 64;
constexpr Picoseconds TCK_LEAST = 1250, TCK_MOST = 3300;
constexpr double T_DQSS = 0.27, T_DQSH_LEAST = 0.45, T_DQSH_MOST = 0.55, T_CH_LEAST = 0.43, T_CH_MOST = 0.57;  // of tCK

}  // namespace ddr3
