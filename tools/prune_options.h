// The flags of fp_prune.
#pragma once

#include "engine/prune/scan.h"
#include "engine/prune/sweep_plan.h"
#include "tools/training.h"

namespace fp {

struct PruneFlags : OutFlags {
    ComputeOptions compute;
    DataOptions data{.batch_size = 128};
    SweepSettings search;  // its attributes and batch size are those of `data`
    std::string checkpoint, cache, scores, compare_scores, scan;
    bool scores_only = false, show_groups = false, dry_run = false;
    bool train_on_val = false;  // train_on_half_of_validation(), by the seed
    int gallery = 0;
    double margin = EvaluateOptions().margin;

    bool is_search() const { return search.sweep || search.controls || search.seeds > 1; }
};

void declare(Options&, PruneFlags&);

// Exit::usage for flags that exclude each other and for an invalid --scan, before anything is run or written.
void check(const PruneFlags&);

}  // namespace fp
