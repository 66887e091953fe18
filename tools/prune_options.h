// The flags of fp_prune.
#pragma once

#include "engine/prune/scan.h"
#include "engine/prune/sweep_plan.h"
#include "tools/inputs.h"

namespace fp {

struct PruneFlags {
    ComputeOptions compute;
    DataOptions data{.batch_size = 128};
    PruneSettings pruning;  // its attributes and batch size are those of `data`
    int seeds = 1;
    bool sweep = false, controls = false;
    std::string checkpoint, out, cache, scores, compare_scores, scan;
    bool resume = false, force = false, scores_only = false, show_groups = false;

    bool is_search() const { return sweep || controls || seeds > 1; }
};

void declare(Options&, PruneFlags&);

// Exit::usage for flags that exclude each other and for words that mean nothing, before anything is run or written.
void check(const PruneFlags&);

}  // namespace fp
