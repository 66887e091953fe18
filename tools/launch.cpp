#include "tools/launch.h"

#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "engine/io/files.h"
#include "engine/parallel/agree.h"
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
    cores_ = cores_of_host();
    if (ranks().first()) return;
    std::cout.rdbuf(&silence_);
    std::cerr.rdbuf(&silence_);
}

Launch::~Launch() {
    std::cout.rdbuf(out_);
    std::cerr.rdbuf(err_);
}

// How many cores the ranks of this host may run on, together: a launcher may have bound each to its own.
int Launch::cores_of_host() const {
    cpu_set_t mine;
    CPU_ZERO(&mine);
    sched_getaffinity(0, sizeof mine, &mine);
    const std::string host = ranks().numbered().host + "\n";
    for (const std::string& other : ranks().gather(host + std::string(reinterpret_cast<char*>(&mine), sizeof mine))) {
        if (!other.starts_with(host) || other.size() != host.size() + sizeof mine) continue;
        cpu_set_t theirs;
        std::memcpy(&theirs, other.data() + host.size(), sizeof theirs);
        CPU_OR(&mine, &mine, &theirs);
    }
    return std::max(1, CPU_COUNT(&mine));
}

ComputeOptions Launch::of_rank(ComputeOptions asked) const {
    if (ranks().alone()) return asked;
    const Ranks& mine = ranks().numbered();
    // torchrun sets the variable to 1 where it is not set.
    const bool by_user = std::getenv("OMP_NUM_THREADS") && !std::getenv("TORCHELASTIC_RUN_ID");
    if (asked.threads == 0 && !by_user) asked.threads = std::min(threads_of(mine, cores_), omp_get_num_procs());
    asked.gpu = gpu_of(mine);
    return asked;
}

void Launch::ready(const Kernels* used) {
    if (ranks().alone() || ready_) return;
    const std::string mine = ranks().numbered().host + "\n" + (used ? device_text(*used) : "");
    ready_ = true;
    const std::vector<std::string> all = agreed(ranks(), [&] { return mine; });
    for (const std::string& words : all) {
        const size_t end = words.find('\n');
        notes_.push_back({.rank = int(notes_.size()), .host = words.substr(0, end), .device = words.substr(end + 1)});
    }
    const auto kind = [](const RankNote& r) { return r.device.substr(0, r.device.find(':')); };
    for (const RankNote& r : notes_)
        if (kind(r) != kind(notes_[0]))
            throw SharedError({.exit = Exit::device,
                               .text = text("rank ", r.rank, " on ", r.host, " computes on ", kind(r), ", rank 0 on ",
                                            kind(notes_[0]), "; --device names one for all")});
    if (used) join_gpus(*used);
}

void Launch::failed_to_start(const std::exception_ptr& thrown) {
    if (ranks().alone() || ready_) return;
    try {
        std::rethrow_exception(thrown);
    } catch (const Stopped&) {  // no fault
        return;
    } catch (const SharedError&) {  // all have it
        return;
    } catch (...) {}
    ready_ = true;
    agree(ranks(), [&] { std::rethrow_exception(thrown); });
}

int Launch::end(int code) {
    if (ranks().alone()) return code;
    ready(nullptr);
    for (const std::string& other : ranks().gather(std::to_string(code))) code = std::max(code, std::stoi(other));
    leave_ranks();
    return code;
}

int Launch::fail(const std::exception_ptr& thrown) {
    try {
        std::rethrow_exception(thrown);
    } catch (const SharedError& error) {
        if (ranks().first()) show(error.who, error.what());
        drop_errors(leave_ranks);
        return int(error.exit);
    } catch (const Stopped&) {
        std::cerr << tool_ << ": stopped" << std::endl;
        ranks().abort();
        return StopSignals::exit_code();
    } catch (...) {
        const Fault fault = fault_of(thrown, ranks());
        // Where another rank is gone, that one has said why, or could not; the lowest that is left speaks for all.
        const std::string lost = fault.exit == Exit::device ? ranks().lost() : "";
        const bool stopped = !lost.empty() && StopSignals::requested();
        const bool speaks = lost.empty() || ranks().rank() == (lost.starts_with("rank 0 ") ? 1 : 0);
        if (speaks && !stopped) show(name(ranks().numbered()), fault.text);
        ranks().abort();
        return stopped ? StopSignals::exit_code() : int(fault.exit);
    }
}

// In one piece, so that lines of several ranks do not mix.
void Launch::show(const std::string& who, const std::string& what) const {
    std::string line = what;
    for (const auto& [ending, words] : explained_)
        if (what.ends_with(ending)) line += words;
    std::replace(line.begin(), line.end(), '\n', ' ');
    line = text(who, who.empty() ? "" : ": ", tool_, ": ", printable(line, 1 << 16), "\n");
    std::ostream(err_) << line << std::flush;
}

}  // namespace fp
