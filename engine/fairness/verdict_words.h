// The words of verdicts: of one gap, of one difference, and of all findings in short.
#pragma once

#include "engine/fairness/verdict.h"

namespace fp {

// "accuracy", "macro-F1": the key of a metric as it stands in a sentence; that of a gap is its own word.
std::string spelt(std::string_view key);
// dp and dpm compare how often a class is predicted: they differ where the groups' diagnoses differ.
bool is_selection(std::string_view key);

// "p = 0.19, Holm 1"; "p <= 0.0005, Holm <= 0.012" where p is 1 / (1 + resamples), the least that it can be; resamples
// 0: p has no least. Without Holm where p_holm is NaN, empty without p.
std::string p_words(double p, double p_holm, int resamples);

// Whether the primary gap can be told from that of a classifier that treats the groups alike.
std::string words_of(const PrimaryGap&, const EvaluateOptions&);
// Whether it is smaller or larger than that of the other network, and what is not excluded.
std::string words_of(const PrimaryDifference&, const EvaluateOptions&);
// Where a descriptive gap lies.
std::string words_of(const Gap&);
// Whether a metric became worse, or by how much it may have.
std::string words_of(const Difference&, const EvaluateOptions&);

// Some sentences. The findings are in the order of a Verdict.
std::string summary_of(const Report&, const Comparison*, const std::vector<Finding>&);

}  // namespace fp
