// Exchanges between the ranks of a run: processes with a device each.
#pragma once

#include <cstddef>
#include <string>

#include "kernels/types.h"

namespace fp {

// One library's functions and its state for this process. Every rank calls the same ones in the same order with the
// same sizes. None adds numbers, so results do not depend on the library. A call that fails, or that waits longer than
// the time limit for another rank, is an Error (Exit::device) that names the call and, where it is known, the rank.
struct Collectives {
    const char* name = "none";  // tcp, mpi, nccl
    void* state = nullptr;
    // Whether memory is the GPU's and calls are ordered by the stream; else it is the host's, and calls are complete
    // when they return.
    bool device_memory = false;

    // Part i of `send`, `bytes` long, at least 1, goes to rank i; part j of `receive` is from rank j.
    void (*all_to_all)(void* state, const void* send, void* receive, size_t bytes, Stream) = nullptr;
    void (*all_gather)(void* state, const void* send, void* receive, size_t bytes, Stream) = nullptr;
    void (*broadcast)(void* state, void* data, size_t bytes, int from, Stream) = nullptr;  // of the host's memory only
    // Ends the calls that other ranks wait in. For a rank that has failed.
    void (*abort)(void* state) = nullptr;
    // A rank that has ended before its work was done, in words; empty: none that is known of. From any thread, at any
    // time.
    std::string (*lost)(void* state) = nullptr;
    // Once all ranks are done: closes the connections and frees the state.
    void (*close)(void* state) = nullptr;
};

}  // namespace fp
