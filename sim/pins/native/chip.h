// What a memory chip's model shares with the board around it.
#pragma once

#include "complaints.h"

constexpr int LANES = 2;  // bytes of a word

struct Pins {
    bool reset_n, cke, cs_n, ras_n, cas_n, we_n;
    int bank, address;
};

// From then on the chip drives a lane's data with that, or lets them go.
struct Drive {
    Picoseconds at;
    int lane;
    bool driven;
    uint8_t value;
};

struct Counts {
    uint64_t activates, reads, writes, refreshes, clocks;
};
