// The flags of fp_eval.
#pragma once

#include "engine/fairness/evaluate.h"
#include "tools/inputs.h"

namespace fp {

inline const char* const kStored = "stored";

struct EvalFlags {
    std::vector<std::string> predictions_of, compared_with;
    std::string predictions, checkpoint, compare, split, predictions_out, report, threshold, group_offsets;
    int gallery = 0;
    bool store_threshold = false, skip_bad = false, full = false;
    ComputeOptions compute;
    DataOptions data{.batch_size = 128};
    EvaluateOptions figures;
};

void declare(Options&, EvalFlags&);

// Exit::usage for what cannot be judged, before anything is opened. `f` has one model, and at most one to compare with.
void check(const EvalFlags&);

bool is_model(const std::string& file);
// f1, youden and specificity choose a threshold; a number is one already, and so is the stored one.
bool chooses_threshold(const EvalFlags&);
bool needs_validation(const EvalFlags&);

}  // namespace fp
