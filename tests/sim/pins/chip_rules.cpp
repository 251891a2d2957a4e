// Commands in clocks to a DDR3 chip, from standard input; what it finds wrong, to standard output.
//   CLOCKS COMMAND BANK ADDRESS    waits so many clocks (of 2.5 ns), then gives a command: its RAS, CAS, WE as a number
//   CLOCKS reset LEVEL, CLOCKS cke LEVEL
#include <cstring>
#include <iostream>
#include <memory>

#include "ddr3_chip.h"

int main() {
    Complaints complaints;
    auto memory = std::make_unique<uint16_t[]>(1 << 16);
    ddr3::Chip chip(complaints, memory.get(), 0);
    Pins pins{false, false, true, true, true, true, 0, 0};
    Picoseconds now = 0;
    uint64_t clocks;
    std::string what;
    const auto tick = [&] {
        chip.clock(now, true, false);
        chip.clock(now + 1250, false, false);
        now += 2500;
    };
    while (std::cin >> clocks >> what) {
        for (; clocks > 1; clocks--) tick();
        pins.cs_n = true;
        if (what == "reset") std::cin >> pins.reset_n;
        else if (what == "cke") std::cin >> pins.cke;
        else {
            const int command = std::stoi(what);
            std::cin >> pins.bank >> pins.address;
            pins.cs_n = false, pins.ras_n = command >> 2 & 1, pins.cas_n = command >> 1 & 1, pins.we_n = command & 1;
        }
        chip.commands(now - 1250, pins);
        tick();
        pins.cs_n = true;
        chip.commands(now - 1250, pins);
    }
    for (int rest = 0; rest < 40; rest++) tick();
    for (size_t index = 0; complaints.text(index); index++) std::cout << complaints.text(index) << "\n";
}
