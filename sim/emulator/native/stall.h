// Random pauses of one of the memory port's channels, from a seed: the same ones in every run.
#pragma once

#include <cstdint>

namespace emulator {

class Stall {
  public:
    // `chance` in 1024 that a pause begins in a cycle without one; it lasts 1 to `most` cycles, each as likely.
    Stall(int32_t seed, int32_t channel, int32_t chance, int32_t most) : chance_(chance), most_(most) {
        // Neighbouring seeds must not give similar pauses, and the state of xorshift must not be 0.
        state_ = (static_cast<uint64_t>(seed) << 8 | static_cast<uint64_t>(channel)) + 1;
        state_ *= 0x9E3779B97F4A7C15ull;
        for (int i = 0; i < 8; i++) next();
    }

    // One cycle; whether the channel pauses in it.
    bool step() {
        if (!chance_) return false;
        if (!left_ && next() % 1024 < static_cast<uint64_t>(chance_)) left_ = 1 + static_cast<int32_t>(next() % most_);
        if (!left_) return false;
        left_--;
        return true;
    }

  private:
    // xorshift64*; the upper half is the better one.
    uint64_t next() {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return state_ * 0x2545F4914F6CDD1Dull >> 32;
    }

    int32_t chance_, most_, left_ = 0;
    uint64_t state_;
};

}  // namespace emulator
