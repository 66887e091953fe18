// The judgement of a classifier, alone or beside another one.
#pragma once

#include <optional>

#include "engine/fairness/compare.h"
#include "engine/fairness/evaluate.h"
#include "engine/fairness/threshold.h"

namespace fp {

struct Evaluation {
    Report report;
    std::optional<Comparison> comparison = {};
    int64_t skipped = 0;             // images that cannot be read, of --skip-bad
    std::string first_skipped = {};  // what is wrong with the first
};

// `other` may be null.
inline Evaluation evaluation_of(const Predictions& ours,
                                const Predictions* other,
                                const std::vector<std::string>& attributes,
                                const EvaluateOptions& options) {
    Evaluation out{.report = evaluate(ours, attributes, options)};
    if (other) out.comparison = compare(ours, *other, attributes, options);
    return out;
}

// One class against the rest, each model at a threshold of its own.
struct AtThreshold {
    StoredThreshold threshold;
    std::optional<StoredThreshold> other;
    Evaluation evaluation;
};

}  // namespace fp
