#include "engine/fairness/verdict_words.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "engine/io/words.h"

namespace fp {
namespace {

bool is_metric(std::string_view key) {
    return std::ranges::any_of(kMetricDefinitions, [&](const MetricDefinition& m) { return m.key == key; });
}

bool is_headline(std::string_view key) {
    return std::ranges::any_of(kHeadline, [&](Metric m) { return kMetricDefinitions[m].key == key; });
}

std::string capital(std::string text) {
    if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = char(text[0] - 'a' + 'A');
    return text;
}

// The gaps of rates and of metrics, whose distances from their fair ranges can be compared; dp sums over classes, and
// the others are ratios.
bool in_rates(std::string_view key) {
    static constexpr std::string_view kOther[] = {"dp", "pqd", "dpm", "eom", "nar"};
    return std::ranges::find(kOther, key) == std::end(kOther);
}

struct Summarizer {
    const Report& report;
    const Comparison* comparison;
    const std::vector<Finding>& findings;

    double alpha() const { return 1 - report.options.confidence; }

    // " (1 after correction)" of findings of which not all hold after it.
    std::string support(const std::vector<const Finding*>& of) const {
        const int64_t holds = std::ranges::count_if(of, [&](const Finding* f) { return f->p_holm <= alpha(); });
        if (holds == int64_t(of.size())) return "";
        return holds == 0 ? " (none after correction)" : fmt::format(" ({} after correction)", holds);
    }

    // Of gaps, by falling distance: the first one in rates; those that hold after correction come before the others.
    const Finding& furthest(const std::vector<const Finding*>& gaps) const {
        const auto rank = [&](const Finding* f) { return 2 * !(f->p_holm <= alpha()) + !in_rates(f->metric); };
        return **std::ranges::min_element(gaps, {}, rank);
    }

    std::vector<const Finding*> found(FindingKind kind, const std::string& attribute = {}) const {
        std::vector<const Finding*> some;
        for (const Finding& f : findings)
            if (f.kind == kind && f.attribute == attribute) some.push_back(&f);
        return some;
    }

    // "Fell: accuracy 0.532 to 0.449, macro-F1 0.358 to 0.276. "
    std::string moved(const char* what, FindingKind kind) const {
        std::vector<std::string> words;
        for (const Finding* f : found(kind))
            words.push_back(fmt::format("{} {:.3f} to {:.3f}{}", spelt(f->metric), f->before, f->after,
                                        f->p_holm <= alpha() ? "" : " (not after correction)"));
        return words.empty() ? "" : fmt::format("{}: {}. ", what, fmt::join(words, ", "));
    }

    std::string listed(const char* what, FindingKind kind) const {
        std::vector<std::string> words;
        for (const Finding* f : found(kind)) words.push_back(spelt(f->metric));
        return words.empty() ? "" : fmt::format("{}: {}. ", what, fmt::join(words, ", "));
    }

    std::string metrics() const {
        if (comparison)
            return moved("Fell", FindingKind::fell) + moved("Rose", FindingKind::rose) +
                   listed(comparison->options.resamples > 0 ? "No evidence of a change" : "Not tested",
                          FindingKind::unchanged) +
                   listed("Not estimable", FindingKind::not_judged);
        std::vector<std::string> words;
        for (const Measure& m : report.metrics)
            if (!std::isnan(m.value) && is_headline(m.key))
                words.push_back(fmt::format("{} {:.3f}", spelt(m.key), m.value));
        return words.empty() ? "" : capital(fmt::format("{}. ", fmt::join(words, ", ")));
    }

    std::string gaps(const AttributeReport& a) const {
        if (!a.no_gaps.empty()) return fmt::format("By {} there are no gaps: {}. ", a.name, a.no_gaps);
        const int64_t judged = std::ranges::count_if(a.gaps, [](const Gap& g) { return !std::isnan(g.fair_high); });
        if (judged == 0) return fmt::format("Gaps by {} were not tested. ", a.name);
        const std::vector<const Finding*> beyond = found(FindingKind::gap, a.name);
        if (!beyond.empty()) {
            const Finding& worst = furthest(beyond);
            const char* which = beyond.size() == 1       ? ""
                                : in_rates(worst.metric) ? "; furthest in rates"
                                                         : "; one of them";
            return fmt::format("By {} {} of {}{} {} beyond the fair range{}: {}, {:.3f} (range {:.3f} to {:.3f}). ",
                               a.name, beyond.size(), counted(judged, "gap"), support(beyond),
                               beyond.size() == 1 ? "lies" : "lie", which, gap_name(worst.metric), worst.after,
                               worst.fair_low, worst.fair_high);
        }
        const auto main = std::ranges::find(a.gaps, "eodd_mean", &Gap::key);
        const bool bound = main != a.gaps.end() && main->rms_high >= 0.0005;  // not NaN
        return fmt::format(
            "By {} none of {} can be told from those of a classifier that treats the groups alike{}. ", a.name,
            counted(judged, "gap"),
            bound ? fmt::format(" (an rms of eodd_mean of {:.3f} is not excluded)", main->rms_high) : "");
    }

    std::string changes() const {
        std::string text;
        size_t changed = 0;
        for (const AttributeComparison& a : comparison->attributes) {
            const std::vector<const Finding*> grew = found(FindingKind::gap_grew, a.name),
                                              shrank = found(FindingKind::gap_shrank, a.name),
                                              lost = found(FindingKind::group_fell, a.name);
            changed += grew.size() + shrank.size();
            std::vector<std::string> words;
            if (!grew.empty()) words.push_back(counted(int64_t(grew.size()), "gap") + " grew" + support(grew));
            if (!shrank.empty()) words.push_back(counted(int64_t(shrank.size()), "gap") + " shrank");
            if (!lost.empty())
                words.push_back(counted(int64_t(lost.size()), "figure") + " of groups fell (not corrected)");
            if (!found(FindingKind::levelled_down, a.name).empty())
                words.push_back("the better group was levelled down");
            if (!words.empty()) text += fmt::format("By {} {}. ", a.name, fmt::join(words, ", "));
        }
        const bool tested = !comparison->attributes.empty() && comparison->options.resamples > 0;
        return text + (changed == 0 && tested ? "No evidence that a gap shrank or grew. " : "");
    }

    std::string summary() const {
        std::string text;
        for (const FindingKind kind : {FindingKind::few_resamples, FindingKind::classes_absent})
            for (const Finding* f : found(kind)) text += capital(f->text) + ". ";
        text += metrics();
        for (const AttributeReport& a : report.attributes) text += gaps(a);
        if (comparison) text += changes();
        for (const Finding* f : found(FindingKind::at_chance)) text += capital(f->text) + ". ";
        if (comparison) text += "Two networks were compared, not two methods. ";
        if (!text.empty()) text.pop_back();
        return text;
    }
};

}  // namespace

std::string spelt(std::string_view key) {
    static constexpr std::pair<std::string_view, const char*> kSpelt[] = {
        {"balanced_accuracy", "balanced accuracy"}, {"macro_f1", "macro-F1"},         {"macro_auc", "macro-AUC"},
        {"macro_precision", "macro precision"},     {"macro_recall", "macro recall"}, {"ece", "ECE"}};
    for (const auto& [of, words] : kSpelt)
        if (key == of) return words;
    return std::string(key);
}

std::string gap_name(const std::string& key) {
    static constexpr std::pair<std::string_view, const char*> kNames[] = {
        {"eopp0", "equal opportunity, negatives"},
        {"eopp1", "equal opportunity, positives"},
        {"eopp1_present", "equal opportunity, classes present"},
        {"eodd", "equalized odds"},
        {"eodd_mean", "equalized odds, mean"},
        {"eodd_max", "equalized odds, worst class"},
        {"eodd_tnr", "equalized odds, TPR and TNR"},
        {"dp", "demographic parity"},
        {"pqd", "accuracy, worst over best"},
        {"dpm", "predictions, worst over best"},
        {"eom", "true positives, worst over best"},
        {"nar", "accuracy, spread over mean"}};
    for (const auto& [of, words] : kNames)
        if (key == of) return fmt::format("{} ({})", words, key);
    return is_metric(key) ? "the gap in " + spelt(key) : key;
}

std::string gap_words(const std::string& key, const std::string& attribute) {
    return (is_metric(key) ? "the gap in " + spelt(key) : key) + " by " + attribute;
}

std::string p_words(const TestedMeasure& m, int resamples) {
    if (std::isnan(m.p)) return "";
    const bool least = m.p <= (1 + 1e-9) / (1 + resamples);
    std::string out = fmt::format("p {} {:.2g}", least ? "<=" : "=", m.p);
    if (!std::isnan(m.p_holm)) out += fmt::format(", Holm {}{:.2g}", least && m.p_holm < 1 ? "<= " : "", m.p_holm);
    return out;
}

double growth(const Difference& d) { return std::abs(d.model - d.fair) - std::abs(d.other - d.fair); }

std::string words_of(const Gap& g, double alpha) {
    if (!g.beyond_fair()) return "not distinguishable from a classifier that treats the groups alike";
    if (!(g.p_holm <= alpha)) return "beyond the fair range, but not after correction for the whole table";
    if (g.null == kOverAll) return "beyond what groups drawn at random would show; their case mix may be part of it";
    return "beyond what a classifier that treats the groups alike would show";
}

std::string words_of(const Difference& d, const EvaluateOptions& options) {
    const double alpha = 1 - options.confidence;
    const std::string p = p_words(d, options.resamples);
    if (d.p > alpha) return fmt::format("no evidence of a change ({})", p);
    if (!(d.p_holm <= alpha)) return fmt::format("no evidence of a change after correction ({})", p);
    if (std::isnan(d.fair)) return fmt::format("{} than the other model's ({})", d.value < 0 ? "lower" : "higher", p);
    return fmt::format("a {} gap than the other model's ({})", growth(d) < 0 ? "smaller" : "larger", p);
}

std::string summary_of(const Report& report, const Comparison* comparison, const std::vector<Finding>& findings) {
    return Summarizer{report, comparison, findings}.summary();
}

}  // namespace fp
