#include "engine/report/sweep_words.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/fairness/gap_report.h"
#include "engine/io/words.h"

namespace fp {
namespace {

constexpr double kHolmLevel = 0.05;
constexpr const char* kOtherTrainings = "recipes/run --trainings N repeats the training";

}  // namespace

std::string tunings_text(int tunings) { return counted(tunings, "tuning") + " of one network"; }

std::string figures_text(int tunings) {
    return fmt::format("{}{}; {}", tunings > 1 ? "means over " : "", tunings_text(tunings), kOtherTrainings);
}

std::string words(const GapDifference& g) {
    if (!g.tested()) return "";
    if (g.p_holm <= kHolmLevel) return g.change.mean < 0 ? "smaller gap" : "larger gap";
    const std::string fall =
        g.fall_can_pass()
            ? ""
            : fmt::format("; no fall could have passed: rms^2 must fall by {:.4f}, and the control's is {:.4f}",
                          g.least_change, g.control);
    return fmt::format(
        "no difference detected; beside the control's {:.3f}, a gap of {:.3f} to {:.3f} is not excluded{}",
        root(g.control), root(g.control + g.change.low), std::min(1.0, root(g.control + g.change.high)), fall);
}

std::string tests_text(const SweepResult& r) {
    if (r.tests == 0)
        return r.tunings < 2
                   ? fmt::format("{} tests nothing: --seeds N repeats the tuning, {}", tunings_text(1), kOtherTrainings)
                   : "nothing is tested: no control, no attribute with a gap, or none was chosen";
    return fmt::format(
        "{} of {}, not of trainings, corrected by Holm; the first passes at |t| >= {:.2f}. The other points are "
        "described and not tested. {}",
        counted(r.tests, "test"), tunings_text(r.tunings), r.t_needed, kOtherTrainings);
}

}  // namespace fp
