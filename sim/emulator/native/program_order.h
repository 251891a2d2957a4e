// Whether the operations of a program seem to run one after the other, in the order of the program.
//
// Of each lane of each word of a memory it is known which operation has written it last and which has read it last.
// An operation that reads what a later one has written, or writes what a later one has read or written, is out of order.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <new>
#include <vector>

namespace emulator {

// What was out of order. The same order as `DISORDERS` in violations.py.
enum Disorder { IN_ORDER, READ_TOO_LATE, WRITTEN_TOO_LATE, WRITTEN_BEFORE, OUTSIDE };

// The same fields in the same order as `Violation` in library.py.
struct Violation {
    uint32_t contract;                      // 1 more than its place among the contracts; 0: none
    uint32_t disorder, access;              // what was out of order, and at which access
    uint32_t number, other, address, lane;  // of the operation, of the later one; where
};

// A memory that operations share. It has room for all cells and uses that of those that are touched.
class SharedMemory {
  public:
    SharedMemory(uint64_t words, unsigned lanes) : words_(words), lanes_(lanes) { allocate(); }
    SharedMemory(SharedMemory &&other) noexcept : words_(other.words_), lanes_(other.lanes_), cells_(other.cells_) {
        other.cells_ = nullptr;
    }
    ~SharedMemory() { std::free(cells_); }

    void forget() {
        std::free(cells_);
        allocate();
    }

    // One word of one operation; `violation` says what is out of order, if anything is.
    void access(bool write, uint32_t number, uint32_t address, uint64_t lanes, Violation &violation) {
        if (address >= words_) return report(OUTSIDE, number, 0, address, 0, violation);
        for (unsigned lane = 0; lanes; lane++, lanes >>= 1) {
            if (!(lanes & 1)) continue;
            Cell &cell = cells_[static_cast<uint64_t>(address) * lanes_ + lane];
            if (write) {
                if (cell.reader > number) report(WRITTEN_TOO_LATE, number, cell.reader, address, lane, violation);
                if (cell.writer > number) report(WRITTEN_BEFORE, number, cell.writer, address, lane, violation);
                cell.writer = number;
            } else {
                if (cell.writer > number) report(READ_TOO_LATE, number, cell.writer, address, lane, violation);
                if (cell.reader < number) cell.reader = number;
            }
        }
    }

  private:
    struct Cell {
        uint32_t writer, reader;
    };

    void allocate() {
        cells_ = static_cast<Cell *>(std::calloc(words_ * lanes_, sizeof(Cell)));
        if (!cells_) throw std::bad_alloc();
    }

    static void report(Disorder disorder, uint32_t number, uint32_t other, uint32_t address, uint32_t lane,
                       Violation &violation) {
        violation.disorder = disorder;
        violation.number = number;
        violation.other = other;
        violation.address = address;
        violation.lane = lane;
    }

    uint64_t words_;
    unsigned lanes_;
    Cell *cells_ = nullptr;
};

}  // namespace emulator
