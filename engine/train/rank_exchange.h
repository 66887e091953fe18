// What the ranks of a training exchange in a step. A round is one batch of each rank; a step is a round, or the rounds
// of --accumulate. In a round, in this order:
//
//   statistics  of the norms' batches, gathered while backward runs; every rank then moves its running statistics by
//               those of rank 0, 1, 2, ...
//   gradients   in the last round of a step: buckets of the flat gradient block, from the last layers to the first, then
//               the vectors. A bucket is reduced (Comm::reduce) as soon as backward has completed it.
//
// So N ranks have the bits that one rank with --accumulate N has: it adds the same gradients and moves the statistics in
// the same order, and a kernel that adds to a gradient rounds what it adds first (kernels/ops). A rank without a batch
// takes part with gradients of -0, to which adding changes no bit.
//
// A rank sends 2 (N - 1) / N of the gradient block and N - 1 times its statistics.
#pragma once

#include <string>
#include <vector>

#include "engine/core/network.h"
#include "engine/parallel/comm.h"
#include "engine/train/rank_calls.h"

namespace fp {

struct RankExchangeOptions {
    // May be smaller than a layer. 0: 4 MB on the host, where a bucket that fits into a core's cache costs less to add and
    // to copy; 25 MB on a GPU.
    int64_t bucket_bytes = 0;
    bool sync_norms = false;       // norms take their statistics over the round's batches: TapeOptions::of_ranks
    bool watch_gradients = false;  // for whose_gradient(): one more pass over them
};

class RankExchange {
public:
    // Comm and network are to outlive it. What is trainable in the network must not change.
    RankExchange(Network&, const Comm&, const RankExchangeOptions&);

    const Comm& comm() const { return comm_; }
    bool sync_norms() const { return options_.sync_norms; }

    // A round, on every rank. A rank without a batch calls begin() without a tape and then finish().
    void prepare(TapeOptions&);                          // of the batch's tape, in Mode::train
    void begin(Tape*, bool statistics, bool gradients);  // between forward and backward; what is exchanged
    // The rest of the buckets. Without `has_gradients` this rank has none in this step.
    void finish(bool has_gradients);
    // The running statistics, from those of the ranks that had a batch. `momentum`: left_momentum() of any of them.
    void move_statistics(const std::vector<char>& had_batch, double momentum);
    double left_momentum() const { return momentum_; }

    // With watch_gradients, where a step's gradient is not finite: "rank 1 of 2", the first rank whose own was not; empty
    // where only their sum was not. A call of all ranks, once the device has finished the step.
    std::string whose_gradient() const;

private:
    struct Bucket {
        int64_t begin, end;
        int row = 0;  // of the tape: backward of this row completes the bucket
    };
    void place_buckets();
    void find_rows(const Tape&);
    void send(size_t bucket);
    void clear_gradients();
    par* at(par* block, int64_t element) const;

    Network& network_;
    const Comm& comm_;
    const RankExchangeOptions options_;
    std::vector<Bucket> buckets_;
    size_t sent_ = 0, to_send_ = 0;  // buckets of this round
    double momentum_ = 0;
    Buffer own_, all_, scratch_;        // statistics of this rank's batch, of every rank's; of Comm::reduce
    Buffer squares_, squares_scratch_;  // of this rank's gradients, by bucket
    HostBuffer seen_;                   // the host's copy
    OfRanks of_ranks_;
    RankCalls calls_;  // the last member: its thread uses the others
};

}  // namespace fp
