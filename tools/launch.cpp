#include "tools/launch.h"

#include <algorithm>
#include <iostream>

#include "engine/io/files.h"
#include "engine/parallel/agreement.h"
#include "engine/parallel/ranks.h"
#include "engine/run/signals.h"
#include "engine/run/threads.h"

namespace fp {

Launch::Launch(std::string tool) : tool_(std::move(tool)), out_(std::cout.rdbuf()), err_(std::cerr.rdbuf()) {}

void Launch::join() {
    const Ranks launched = ranks_of_launcher();
    if (launched.ranks == 1) return;
    prepare_threads();  // may execute the program anew, so it comes before the ranks are connected
    join_ranks(launched);
    if (ranks().first()) return;
    std::cout.rdbuf(&silence_);
    std::cerr.rdbuf(&silence_);
}

Launch::~Launch() {
    std::cout.rdbuf(out_);
    std::cerr.rdbuf(err_);
}

void Launch::ready(const std::string& device) {
    if (ranks().alone() || ready_) return;
    share_faults(ranks(), std::nullopt);
    ready_ = true;
    for (const std::string& words : ranks().gather(ranks().numbered().host + "\n" + device)) {
        const size_t end = words.find('\n');
        notes_.push_back(
            {.rank = int(notes_.size()), .host = words.substr(0, end), .device = words.substr(end + 1)});
    }
}

void Launch::failed_to_start(const std::exception_ptr& thrown) {
    if (ranks().alone() || ready_) return;
    try {
        std::rethrow_exception(thrown);
    } catch (const Stopped&) {  // no fault
        return;
    } catch (...) {}
    ready_ = true;
    share_faults(ranks(), fault_of(thrown, ranks()));
}

int Launch::end(int code) {
    if (ranks().alone()) return code;
    ready("");
    for (const std::string& other : ranks().gather(std::to_string(code))) code = std::max(code, std::stoi(other));
    return code;
}

int Launch::fail(const std::exception_ptr& thrown) {
    try {
        std::rethrow_exception(thrown);
    } catch (const SharedError& error) {
        if (ranks().first()) show(error.who, error.what());
        return int(error.exit);
    } catch (const Stopped&) {
        std::cerr << tool_ << ": stopped" << std::endl;
        ranks().abort();
        return StopSignals::exit_code();
    } catch (...) {
        const Fault fault = fault_of(thrown, ranks());
        show(name(ranks().numbered()), fault.text);
        ranks().abort();
        return int(fault.exit);
    }
}

// In one piece, so that lines of several ranks do not mix.
void Launch::show(const std::string& who, const std::string& what) const {
    std::string line = what;
    std::replace(line.begin(), line.end(), '\n', ' ');
    line = text(who, who.empty() ? "" : ": ", tool_, ": ", printable(line, 1 << 16), "\n");
    std::ostream(err_) << line << std::flush;
}

}  // namespace fp
