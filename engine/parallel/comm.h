// The ranks of a run, and what they tell each other. A rank is a process (in tests a thread) with a device of its own;
// every rank runs the same program on the same settings and calls the functions of Comm in the same order.
//
// Results have the same bits on every rank, with every library and topology: numbers are never added by the library,
// but exchanged and added here in rank order.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/ops/collectives.h"

namespace fp {

// How a launcher numbered this process (engine/parallel/ranks.h reads it). Without a launcher: rank 0 of 1.
struct Ranks {
    int rank = 0, ranks = 1;              // of all
    int local_rank = 0, local_ranks = 1;  // of those on this host
    std::string launcher = {};            // "torchrun", "Open MPI", "Slurm"; empty: none
    std::string host = {};                // this machine's name
};
std::string name(const Ranks&);  // "rank 1 of 4 on node7", for messages; empty where there is one rank

class Comm {
public:
    // Alone: every call returns at once.
    Comm() = default;
    // `host` exchanges the host's memory. `device` (NCCL), where it is given, exchanges the GPU's; without it, the GPU's
    // memory goes through the host.
    Comm(const Ranks& ranks, const Collectives& host, const Collectives& device = {})
        : ranks_(ranks), host_(host), device_(device) {}

    int rank() const { return ranks_.rank; }
    int ranks() const { return ranks_.ranks; }
    bool alone() const { return ranks_.ranks == 1; }
    bool first() const { return ranks_.rank == 0; }  // the rank that writes
    const Ranks& numbered() const { return ranks_; }

    // ---- Values of the host, on every rank in rank order

    // Of any length each: one exchange where none has more than 248 bytes, else two.
    std::vector<std::string> gather(std::string_view mine) const;
    std::vector<char> gather_bytes(const void* mine, size_t bytes) const;  // as many on every rank, one after another
    // ((x_0 + x_1) + x_2) + ..., element by element; as many numbers on every rank.
    std::vector<double> sum(std::vector<double> mine) const;
    bool any(bool mine) const;
    std::string from_first(std::string_view value) const;  // rank 0's
    void wait_for_all() const;

    // ---- Memory of the device that `k` computes on, in the order of the stream

    // values[i] = ((x_0[i] + x_1[i]) + x_2[i]) + ... over the ranks. A rank sends 2 (N - 1) / N of the bytes: slices
    // all-to-all, sums in rank order by Optimizer::sum_ranks, all-gather. `scratch` has reduce_bytes(). Slices are
    // ceil(count / N) long; a count that N does not divide is padded with zeros, at the cost of two copies.
    void reduce(const Kernels& k, par* values, int64_t count, void* scratch, Stream) const;
    size_t reduce_bytes(const Kernels& k, int64_t count) const;
    // Part i of `send`, `bytes` long, goes to rank i; part j of `receive` is from rank j.
    void exchange(const Kernels& k, const void* send, void* receive, size_t bytes, Stream) const;
    // Part i of `to`, `bytes` long, is rank i's `from`.
    void gather(const Kernels& k, const void* from, void* to, size_t bytes, Stream) const;

    // Ends the calls that other ranks wait in. For a rank that fails: the others then end with an Error too.
    void abort() const noexcept;
    // "rank 1 on node7 has closed its connection": the first that is gone, where the library can tell; empty: none.
    std::string lost() const { return host_.lost ? host_.lost(host_.state) : ""; }

    // By this rank in all calls so far, each part counted once for each rank that it goes to. A library may send less.
    int64_t bytes_sent() const { return bytes_sent_; }

private:
    bool by_device(const Kernels& k) const { return device_.all_to_all && !k.memory.is_host; }
    void count_sent(size_t bytes_to_each) const { bytes_sent_ += int64_t(bytes_to_each) * (ranks() - 1); }

    Ranks ranks_ = {};
    Collectives host_ = {}, device_ = {};
    mutable int64_t bytes_sent_ = 0;
};

// The ranks of this process: alone until a program has joined the others (join_ranks in engine/parallel/ranks.h).
// Library functions take a Comm in their options and never ask for this one.
const Comm& world();
void set_world(const Comm&);  // for join_ranks

// The part of `count` things that a rank has: a range of neighbours, of sizes that differ by at most 1.
struct Share {
    int64_t begin = 0, end = 0;
    int64_t size() const { return end - begin; }
};
constexpr Share share_of(int64_t count, int rank, int ranks) {
    return {count * rank / ranks, count * (rank + 1) / ranks};
}

}  // namespace fp
