// The gaps of one attribute with all that may be said of them: fair range, p, interval, rms, words.
#pragma once

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "engine/fairness/bootstrap.h"
#include "engine/fairness/evaluate.h"

namespace fp {

inline const char* const kNoProbabilities = "no probabilities in the predictions";

// One cohort scored: the cases as they are, and resampled.
struct Scored {
    FigureRows seen, resampled;
    double confidence;

    // The figure in one column of the rows, with its interval.
    Measure measure(std::string key, std::string formula, int column, bool absolute = false) const {
        Measure m{.key = std::move(key), .formula = std::move(formula), .reason = ""};
        m.value = seen.row(0)[column];
        if (std::isnan(m.value)) return m;
        m.set(absolute ? absolute_interval(m.value, 0, resampled.column(column), confidence)
                       : percentile_interval(resampled.column(column), confidence));
        return m;
    }
};

// Of a cohort with at least two groups to compare. The verdict waits for correct_and_say.
std::vector<Gap> gaps_of(
    const Predictions& predictions, const Scorer& scorer, const Cohort& cohort, const Scored& scored, const Plan& plan);

// Holm's correction over all gaps of a report, and the verdicts that follow at level alpha.
void correct_and_say(const std::vector<Gap*>& table, double alpha);

}  // namespace fp
