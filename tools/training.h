// The flags of training, shared by fp_train and by fp_prune's fine-tuning.
#pragma once

#include "engine/train/settings.h"
#include "tools/inputs.h"

namespace fp {

// `prefix` stands before the names that fp_prune has another use for: "" or "finetune-".
void add_training_options(Options&, TrainingSettings&, const std::string& prefix);

}  // namespace fp
