// What fp_prune does once its flags are read: one run, a search, a scan, or only scores or groups.
#pragma once

#include "tools/prune_run.h"
#include "tools/sweep.h"

namespace fp {

struct PruneSettings {
    ComputeOptions compute;
    DataOptions data{.batch_size = 128};
    TrainingSettings tune{.epochs = 2, .schedule = {.lr = 0.01}};
    PruningOptions pruning;
    SweepOptions sweep;
    std::string checkpoint, out, cache, scores, compare_scores, scan;
    uint64_t seed = 1;
    bool resume = false, force = false, scores_only = false, verify = false, show_groups = false;
};

// The exit code. Exit::usage for flags that exclude each other.
int run_prune(const PruneSettings&, const Options&);

}  // namespace fp
