#include "engine/parallel/agreement.h"

#include <new>
#include <vector>

namespace fp {
namespace {

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

}  // namespace

Fault fault_of(const std::exception_ptr& thrown, const Comm& ranks) {
    Fault out = described(thrown);
    if (!ranks.first()) out.who = name(ranks.numbered());
    return out;
}

// "3rank 2 of 4 on node7\nmissing.csv: no such file"
std::string packed(const Fault& fault) { return text(int(fault.exit), fault.who, "\n", fault.text); }

Fault unpacked(const std::string& words) {
    const size_t end = words.find('\n');
    FP_CHECK(end != words.npos && words[0] >= '1' && words[0] <= '6', "another rank's fault is not understood");
    return {.exit = Exit(words[0] - '0'), .text = words.substr(end + 1), .who = words.substr(1, end - 1)};
}

void raise(const Fault& fault) { throw SharedError(fault.text, fault.exit, fault.who); }

void share_faults(const Comm& ranks, const std::optional<Fault>& mine) {
    for (const std::string& words : ranks.gather(mine ? packed(*mine) : ""))
        if (!words.empty()) raise(unpacked(words));
}

std::string from_first(const Comm& ranks, const std::function<std::string()>& work) {
    if (ranks.alone()) return work();
    std::string words;
    if (ranks.first()) try {
            words = "=" + work();
        } catch (...) {
            words = packed(fault_of(std::current_exception(), ranks));
        }
    words = ranks.from_first(words);
    if (words[0] == '=') return words.substr(1);
    raise(unpacked(words));
}

}  // namespace fp
