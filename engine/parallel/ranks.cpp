#include "engine/parallel/ranks.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <set>
#include <string_view>

#include "kernels/error.h"
#include "kernels/mpi/mpi.h"
#include "kernels/nccl/nccl.h"
#include "kernels/tcp/tcp.h"

namespace fp {
namespace {

std::optional<int> number(const Environment& env, const char* variable, int least, int most) {
    const char* const value = env(variable);
    if (!value || !*value) return std::nullopt;
    const std::string_view digits(value);
    int n = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
    FP_REQUIRE(error == std::errc() && end == digits.data() + digits.size() && n >= least && n <= most, Exit::usage,
               variable, " is `", digits, "`, and must be a number from ", least, " to ", most);
    return n;
}

// A launcher's variables. `within`: one that is set where the launcher has started this very process; null: any of the
// first three is a sign of it.
struct Family {
    const char *launcher, *rank, *ranks, *local_rank, *local_ranks, *within;
};
constexpr Family kFamilies[] = {
    {"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", nullptr},
    {"Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
     "OMPI_COMM_WORLD_LOCAL_SIZE", nullptr},
    {"Slurm", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", nullptr, "SLURM_STEP_ID"},
};
constexpr int kMostRanks = 1 << 16;

bool is_there(const Family& f, const Environment& env) {
    if (f.within) return env(f.within) != nullptr;
    return env(f.rank) || env(f.ranks) || env(f.local_rank);
}

int needed(const Family& f, const Environment& env, const char* variable, int least, int most) {
    const auto n = number(env, variable, least, most);
    FP_REQUIRE(n, Exit::usage, variable, " is not set, and other variables of ", f.launcher, " are: it takes ", f.rank,
               ", ", f.ranks, " and ", f.local_rank);
    return *n;
}

std::string host_name() {
    char name[256] = "";
    ::gethostname(name, sizeof name - 1);
    return name;
}

std::string word(const Environment& env, const char* variable) {
    const char* const value = env(variable);
    return value ? value : "";
}

bool all_here(const Ranks& ranks) { return ranks.local_ranks == ranks.ranks; }

void set_address(JoinSettings& settings, const Ranks& ranks, const Environment& env) {
    settings.address = word(env, "MASTER_ADDR");
    if (settings.address.empty() && all_here(ranks)) settings.address = "127.0.0.1";
    FP_REQUIRE(!settings.address.empty(), Exit::usage,
               "MASTER_ADDR is not set: ranks on several hosts need the name of the first one's");
    const int master = number(env, "MASTER_PORT", 1, 65534).value_or(29500);
    settings.port = number(env, "FAIRPRUNE_PORT", 1, 65535).value_or(master + 1);
    for (const char* variable : {"TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "SLURM_JOB_ID", "SLURM_STEP_ID"})
        settings.run += word(env, variable) + "\n";
}

// What join_ranks has opened.
struct Joined {
    Collectives host, device;
    bool nccl = false;
    double seconds = 0;
};
Joined& joined() {
    static Joined all;
    return all;
}

// The names of the ranks' hosts say how many are on this one.
int ranks_here(const Comm& comm) {
    const auto hosts = comm.gather(comm.numbered().host);
    return int(std::count(hosts.begin(), hosts.end(), comm.numbered().host));
}

}  // namespace

const char* process_environment(const char* variable) { return std::getenv(variable); }

Ranks ranks_of_launcher(const Environment& env) {
    Ranks found;
    found.host = host_name();
    for (const Family& f : kFamilies) {
        if (!is_there(f, env)) continue;
        found.launcher = f.launcher;
        found.ranks = needed(f, env, f.ranks, 1, kMostRanks);
        found.rank = needed(f, env, f.rank, 0, found.ranks - 1);
        found.local_rank = needed(f, env, f.local_rank, 0, found.rank);
        found.local_ranks =
            f.local_ranks ? number(env, f.local_ranks, found.local_rank + 1, found.ranks).value_or(0) : 0;
        if (env("SLURM_STEP_NUM_NODES") && std::string_view(env("SLURM_STEP_NUM_NODES")) == "1" && f.within)
            found.local_ranks = found.ranks;
        break;
    }
    if (found.ranks == 1) found.local_ranks = 1;
    return found;
}

JoinSettings join_settings(const Ranks& ranks, const Environment& env) {
    JoinSettings settings;
    if (ranks.ranks == 1) return settings;
    const std::string forced = word(env, "FAIRPRUNE_COLLECTIVES");
    FP_REQUIRE(forced.empty() || forced == "tcp" || forced == "mpi" || forced == "nccl", Exit::usage,
               "FAIRPRUNE_COLLECTIVES is `", forced, "`, and must be tcp, mpi or nccl");
    settings.nccl = forced.empty() || forced == "nccl";
    const bool pmix = ranks.launcher == "Slurm" && env("PMIX_RANK") && !env("MASTER_ADDR");
    settings.library = forced == "tcp" || forced == "mpi"     ? forced
                       : ranks.launcher == "Open MPI" || pmix ? "mpi"
                                                              : "tcp";
    if (settings.library == "tcp") set_address(settings, ranks, env);
    settings.seconds = number(env, "FAIRPRUNE_TIMEOUT", 1, 1'000'000).value_or(600);
    return settings;
}

const Comm& join_ranks(const Ranks& numbered, const JoinSettings& settings) {
    FP_CHECK(world().alone(), "the ranks have joined already");
    if (numbered.ranks == 1) {
        set_world(Comm(numbered, {}));
        return world();
    }
    Joined& opened = joined();
    opened.nccl = settings.nccl;
    opened.seconds = settings.seconds;
    if (settings.library == "mpi")
        opened.host = mpi::open({.rank = numbered.rank, .ranks = numbered.ranks, .seconds = settings.seconds});
    else
        opened.host = open_tcp({.rank = numbered.rank,
                                .ranks = numbered.ranks,
                                .host = numbered.host,
                                .address = settings.address,
                                .port = settings.port,
                                .run = settings.run,
                                .seconds = settings.seconds});
    Ranks ranks = numbered;
    if (ranks.local_ranks == 0) ranks.local_ranks = ranks_here(Comm(ranks, opened.host));
    set_world(Comm(ranks, opened.host));
    return world();
}

const Comm& join_ranks(const Ranks& ranks) { return join_ranks(ranks, join_settings(ranks)); }

void join_gpus(const Kernels& k) {
    Joined& opened = joined();
    const Comm& comm = world();
    const bool gpu = k.name == name(Backend::cuda) || k.name == name(Backend::cudnn);
    if (comm.alone() || !opened.nccl || opened.device.all_to_all) return;
    if (!comm.any(gpu)) return;
    FP_REQUIRE(!comm.any(!gpu), Exit::device,
               "some ranks compute on a GPU and some do not: --device is the same on all");
    const auto gpus = comm.gather(comm.numbered().host + ", GPU " + nccl::gpu_address());
    std::set<std::string> different;
    for (size_t r = 0; r < gpus.size(); ++r)
        FP_REQUIRE(different.insert(gpus[r]).second, Exit::device, "rank ", r, " computes on the GPU of another rank (",
                   gpus[r], "): NCCL needs one for each; FAIRPRUNE_COLLECTIVES=tcp does without NCCL");
    const std::string id = comm.from_first(comm.first() ? nccl::unique_id() : "");
    opened.device = nccl::open({.rank = comm.rank(),
                                .ranks = comm.ranks(),
                                .streams = &k.streams,
                                .seconds = opened.seconds,
                                .lost = [host = opened.host] { return host.lost ? host.lost(host.state) : ""; }},
                               id);
    set_world(Comm(comm.numbered(), opened.host, opened.device));
}

void leave_ranks() {
    if (world().alone()) return;
    world().wait_for_all();
    Joined& opened = joined();
    for (Collectives* library : {&opened.device, &opened.host}) {
        if (library->close) library->close(library->state);
        *library = {};
    }
    set_world({});
}

int gpu_of(const Ranks& ranks, const Environment& env) {
    const char* const visible = env("CUDA_VISIBLE_DEVICES");
    const bool one = visible && *visible && std::string_view(visible).find(',') == std::string_view::npos;
    return one ? 0 : ranks.local_rank;
}

int threads_of(const Ranks& ranks, int cores) { return std::max(1, cores / std::max(1, ranks.local_ranks)); }

}  // namespace fp
