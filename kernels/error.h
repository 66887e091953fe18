#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace fp {

// The kind of an error, which is the exit code of a tool (0: done, 130/143: after a signal).
enum class Exit { bug = 1, usage = 2, data = 3, device = 4, diverged = 5, model = 6 };

// The only exception type. Its text says what is wrong, with the numbers.
struct Error : std::runtime_error {
    explicit Error(const std::string& text, Exit code = Exit::bug) : std::runtime_error(text), exit(code) {}
    Exit exit;
};

template <class... Parts>
std::string text(const Parts&... parts) {
    std::ostringstream out;
    (out << ... << parts);
    return out.str();
}

// A bug: a condition that the caller has to ensure.
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
    throw Error(text(parts...));
}

// An error in what was given to us: a flag, a file, a data set, a device.
template <class... Parts>
[[noreturn]] void fail_with(Exit exit, const Parts&... parts) {
    throw Error(text(parts...), exit);
}

// For destructors, which must not throw. A device that has failed reports it again at its next call.
template <class Work>
void drop_errors(const Work& work) noexcept {
    try {
        work();
    } catch (...) {}
}

}  // namespace fp

// Not functions, so that the message is built only when the check fails.
#define FP_CHECK(condition, ...)                   \
    do {                                           \
        if (!(condition)) ::fp::fail(__VA_ARGS__); \
    } while (false)
#define FP_REQUIRE(condition, exit, ...)                      \
    do {                                                      \
        if (!(condition)) ::fp::fail_with(exit, __VA_ARGS__); \
    } while (false)
