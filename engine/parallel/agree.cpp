#include "engine/parallel/agree.h"

#include <new>

namespace fp {
namespace {

constexpr char kWorked = 0;  // in front of a result; else a fault

Fault described(const std::exception_ptr& thrown) {
    try {
        std::rethrow_exception(thrown);
    } catch (const Error& error) {
        return {.exit = error.exit, .text = error.what()};
    } catch (const std::bad_alloc&) {
        return {.exit = Exit::device, .text = "out of memory"};
    } catch (const std::exception& error) {
        return {.text = std::string("internal error: ") + error.what()};
    } catch (...) {
        return {.text = "internal error: an exception of unknown type"};
    }
}

std::string attempt(const Comm& comm, const std::function<std::string()>& work) {
    try {
        return kWorked + work();
    } catch (...) {
        return packed(fault_of(std::current_exception(), comm));
    }
}

// The result, or the fault as an error.
std::string result_of(const std::string& told) {
    FP_CHECK(!told.empty(), "another rank's words are not understood");
    if (told[0] != kWorked) throw SharedError(unpacked(told));
    return told.substr(1);
}

}  // namespace

Fault fault_of(const std::exception_ptr& thrown, const Comm& comm) {
    Fault out = described(thrown);
    if (!comm.first()) out.who = name(comm.numbered());
    return out;
}

// "3rank 2 of 4 on node7\nmissing.csv: no such file"
std::string packed(const Fault& fault) { return text(int(fault.exit), fault.who, "\n", fault.text); }

Fault unpacked(const std::string& words) {
    const size_t end = words.find('\n');
    FP_CHECK(end != words.npos && words[0] >= '1' && words[0] <= '6', "another rank's fault is not understood");
    return {.exit = Exit(words[0] - '0'), .text = words.substr(end + 1), .who = words.substr(1, end - 1)};
}

std::vector<std::string> agreed(const Comm& comm, const std::function<std::string()>& work) {
    if (comm.alone()) return {work()};
    std::vector<std::string> told = comm.gather(attempt(comm, work));
    for (std::string& of_rank : told) of_rank = result_of(of_rank);
    return told;
}

void agree(const Comm& comm, const std::function<void()>& work) {
    agreed(comm, [&] {
        work();
        return std::string();
    });
}

std::string from_first(const Comm& comm, const std::function<std::string()>& work) {
    if (comm.alone()) return work();
    return result_of(comm.from_first(comm.first() ? attempt(comm, work) : ""));
}

}  // namespace fp
