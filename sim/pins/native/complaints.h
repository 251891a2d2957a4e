// What the models found wrong: sentences with the time, the first ones kept, all counted.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

using Picoseconds = uint64_t;

class Complaints {
public:
    static constexpr size_t KEPT = 64;

    void add(Picoseconds now, const char *format, ...) __attribute__((format(printf, 3, 4))) {
        char text[240], line[280];
        va_list arguments;
        va_start(arguments, format);
        std::vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        std::snprintf(line, sizeof line, "At %.4f us: %s", 1e-6 * double(now), text);
        if (kept_.size() < KEPT) kept_.emplace_back(line);
        count_++;
    }
    void clear() {
        kept_.clear();
        count_ = 0;
    }
    uint64_t count() const { return count_; }
    const char *text(size_t index) const { return index < kept_.size() ? kept_[index].c_str() : nullptr; }

private:
    std::vector<std::string> kept_;
    uint64_t count_ = 0;
};
