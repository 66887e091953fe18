// What a test asks of the stand-in for CUDA and NCCL: streams that work beside the host, and what was called.
#pragma once

#include <string>
#include <vector>

#include "kernels/ops/streams.h"

namespace fp::testing::stand_in {

// One per rank (a thread): its stream's native handle is its own.
Stream open_stream();
void close_stream(Stream);
void finish(Stream);  // the host waits
const StreamApi& streams();

// Every call of NCCL by the ranks so far: "rank 1: Send 8 bytes to 0". `forget` starts anew.
std::vector<std::string> calls(int rank);
void forget();

// From now on the communicator of this rank reports a failure of the network.
void break_network(int rank);
// How many questions a communicator answers with "in progress" after each call.
void answer_slowly(int questions);

}  // namespace fp::testing::stand_in
