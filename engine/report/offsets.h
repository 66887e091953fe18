// A classifier with offsets per group beside itself without them, on the images that are judged.
#pragma once

#include "engine/fairness/group_offsets.h"
#include "engine/report/evaluation.h"

namespace fp {

struct WithOffsets {
    GroupOffsets offsets;
    Evaluation evaluation;  // with them; its comparison is with the same model without them
};

// Exit::data where images are in both; see choose_group_offsets().
WithOffsets judge_with_offsets(const GroupOffsets&,
                               const Predictions& judged,
                               const std::vector<std::string>& attributes,
                               const EvaluateOptions&);

// Within 80 columns.
std::string to_text(const WithOffsets&);
// {"attribute","objective","needs","validation":{"images","data","split_hash"},"groups":{NAME:{"images","offsets":
// {CLASS:o},"balanced_accuracy":{"before","after"},"reason"}},"report":Evaluation}; balanced accuracy is of validation.
void fields(const WithOffsets&, JsonWriter&);

}  // namespace fp
