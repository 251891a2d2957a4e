// The C interface of the emulated board, which `sim.emulator.library` declares to Python.

#include <algorithm>

#include "engine.h"

using emulator::Engine;
using emulator::Recording;
using emulator::Statistics;
using emulator::Timing;
using emulator::Violation;

#pragma GCC visibility push(default)
extern "C" {

void *emulator_open(uint64_t bytes, const Timing *timing) {
    try {
        return new Engine(bytes, *timing);
    } catch (const std::bad_alloc &) {
        return nullptr;
    }
}
void emulator_close(Engine *engine) { delete engine; }
void emulator_reset(Engine *engine) { engine->reset(); }
void emulator_start(Engine *engine, uint64_t program) { engine->start(program); }
int emulator_run(Engine *engine, uint64_t limit, uint64_t bytes) { return engine->run(limit, bytes); }
uint64_t emulator_cycles(const Engine *engine) { return engine->cycles(); }
int emulator_busy(const Engine *engine) { return engine->busy(); }
uint64_t emulator_error(const Engine *engine) { return engine->error(); }
void emulator_violation(Engine *engine, Violation *violation) { *violation = engine->violation(); }
int emulator_copy(Engine *engine, int write, uint64_t offset, uint8_t *bytes, uint64_t length) {
    return engine->copy(write, offset, bytes, length);
}
void emulator_statistics(Engine *engine, Statistics *statistics) { *statistics = engine->memory.statistics(); }
void emulator_send(Engine *engine, const char *bytes, uint64_t length) {
    engine->to_link.insert(engine->to_link.end(), bytes, bytes + length);
}
uint64_t emulator_unsent(const Engine *engine) { return engine->to_link.size(); }
uint64_t emulator_received(const Engine *engine) { return engine->from_link.size(); }
uint64_t emulator_receive(Engine *engine, uint8_t *bytes, uint64_t most) {
    const uint64_t count = std::min<uint64_t>(most, engine->from_link.size());
    std::copy_n(engine->from_link.begin(), count, bytes);
    engine->from_link.erase(engine->from_link.begin(), engine->from_link.begin() + count);
    return count;
}
void emulator_set_input(Engine *engine, int number, uint64_t value) { engine->set_input(number, value); }
uint64_t emulator_output(const Engine *engine, int number) { return engine->output(number); }
void emulator_record(Engine *engine, int tap, int enabled) {
    engine->recordings[tap].enabled = enabled;
    if (enabled) engine->recordings[tap].cycles.clear(), engine->recordings[tap].words.clear();
}
uint64_t emulator_recorded(const Engine *engine, int tap) { return engine->recordings[tap].cycles.size(); }
void emulator_recording(const Engine *engine, int tap, uint64_t *cycles, uint32_t *words) {
    const Recording &recording = engine->recordings[tap];
    std::copy(recording.cycles.begin(), recording.cycles.end(), cycles);
    std::copy(recording.words.begin(), recording.words.end(), words);
}
int emulator_waves(Engine *engine, const char *path, uint64_t from, uint64_t to) {
    return engine->waves(path, from, to);
}
}
#pragma GCC visibility pop
