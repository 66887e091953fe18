// The words of verdicts: of one gap, of one difference, and of all findings in short.
#pragma once

#include "engine/fairness/verdict.h"

namespace fp {

// "accuracy", "macro-F1": the key of a metric as it stands in a sentence; that of a gap is its own word.
std::string spelt(std::string_view key);
// "the gap in accuracy", "equalized odds, mean (eodd_mean)": a gap with its key.
std::string gap_name(const std::string& key);
// "the gap in accuracy by sex", "eodd_mean by sex".
std::string gap_words(const std::string& key, const std::string& attribute);

// "p = 0.19, Holm 1"; "p <= 0.0005, Holm <= 0.012" where p is 1 / (1 + resamples), the least that it can be. Empty
// without p.
std::string p_words(const TestedMeasure&, int resamples);

// Of a gap in two models: how much further it lies from a fair classifier's value in the first than in the other.
double growth(const Difference&);

// Whether one gap can be told from that of a classifier that treats the groups alike; alpha: 1 - confidence.
std::string words_of(const Gap&, double alpha);
// Whether one figure of two models changed.
std::string words_of(const Difference&, const EvaluateOptions&);

// Some sentences. The findings are in the order of a Verdict.
std::string summary_of(const Report&, const Comparison*, const std::vector<Finding>&);

}  // namespace fp
