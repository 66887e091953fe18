#include "engine/fairness/verdict_words.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "engine/fairness/gap_report.h"
#include "engine/io/words.h"

namespace fp {
namespace {

bool is_headline(std::string_view key) {
    return std::ranges::any_of(kHeadline, [&](Metric m) { return kMetricDefinitions[m].key == key; });
}

std::string capital(std::string text) {
    if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = char(text[0] - 'a' + 'A');
    return text;
}

struct Summarizer {
    const Report& report;
    const Comparison* comparison;
    const std::vector<Finding>& findings;

    std::vector<const Finding*> found(FindingKind kind, const std::string& attribute = {}) const {
        std::vector<const Finding*> some;
        for (const Finding& f : findings)
            if (f.kind == kind && f.attribute == attribute) some.push_back(&f);
        return some;
    }

    // "Fell: accuracy 0.532 to 0.449, macro-F1 0.358 to 0.276. "
    template <class Words>
    std::string listed(const std::string& what, FindingKind kind, Words words_of_one) const {
        std::vector<std::string> words;
        for (const Finding* f : found(kind))
            if (!f->metric.empty()) words.push_back(words_of_one(*f));
        return words.empty() ? "" : fmt::format("{}: {}. ", what, fmt::join(words, ", "));
    }

    std::string metrics() const {
        if (!comparison) {
            std::vector<std::string> words;
            for (const Measure& m : report.metrics)
                if (!std::isnan(m.value) && is_headline(m.key))
                    words.push_back(fmt::format("{} {:.3f}", spelt(m.key), m.value));
            return words.empty() ? "" : capital(fmt::format("{}. ", fmt::join(words, ", ")));
        }
        const auto moved = [](const Finding& f) {
            return fmt::format("{} {:.3f} to {:.3f}", spelt(f.metric), f.before, f.after);
        };
        const auto key = [](const Finding& f) { return spelt(f.metric); };
        const auto loss = [](const Finding& f) { return fmt::format("{} ({:.3f})", spelt(f.metric), f.size); };
        return listed("Fell", FindingKind::fell, moved) + listed("Rose", FindingKind::rose, moved) +
               listed(fmt::format("Not worse by more than {:g}", comparison->options.margin), FindingKind::not_worse,
                      key) +
               listed("A loss is not excluded", FindingKind::loss_not_excluded, loss) +
               listed(comparison->options.resamples > 0 ? "Not estimable" : "Not tested", FindingKind::not_judged, key);
    }

    std::string gap(const AttributeReport& a) const {
        if (!a.no_gaps.empty()) return fmt::format("By {} there are no gaps: {}. ", a.name, a.no_gaps);
        const PrimaryGap& g = a.primary;
        if (std::isnan(g.p)) return fmt::format("The gap by {} was not tested ({}). ", a.name, g.reason);
        return fmt::format("The gap by {} ({}), {:.3f}, is {}. ", a.name, kPrimaryKey, g.rms, g.verdict);
    }

    std::string changes() const {
        std::string text;
        for (const AttributeComparison& a : comparison->attributes) {
            if (std::isnan(a.primary.p)) continue;
            text += fmt::format("By {}: {}", a.name, a.primary.verdict);
            if (const auto lost = found(FindingKind::group_fell, a.name); !lost.empty())
                text += "; " + counted(int64_t(lost.size()), "figure") + " of groups fell";
            if (!found(FindingKind::levelled_down, a.name).empty()) text += "; the best group was levelled down";
            text += ". ";
        }
        return text +
               fmt::format("Compared with {}: two networks of one training each, not two methods. ", comparison->other);
    }

    std::string summary() const {
        std::string text;
        for (const FindingKind kind : {FindingKind::few_resamples, FindingKind::classes_absent})
            for (const Finding* f : found(kind)) text += capital(f->text) + ". ";
        text += metrics();
        for (const AttributeReport& a : report.attributes) text += gap(a);
        if (comparison) text += changes();
        for (const Finding* f : found(FindingKind::at_chance)) text += capital(f->text) + ". ";
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

bool is_selection(std::string_view key) { return key == "dp" || key == "dpm"; }

std::string p_words(double p, double p_holm, int resamples) {
    if (std::isnan(p)) return "";
    const bool least = resamples > 0 && p <= (1 + 1e-9) / (1 + resamples);
    std::string out = fmt::format("p {} {:.2g}", least ? "<=" : "=", p);
    if (!std::isnan(p_holm)) out += fmt::format(", Holm {}{:.2g}", least && p_holm < 1 ? "<= " : "", p_holm);
    return out;
}

std::string words_of(const PrimaryGap& g, const EvaluateOptions& options) {
    const double alpha = 1 - options.confidence;
    const std::string p = p_words(g.p, g.p_holm, options.resamples);
    if (g.p_holm <= alpha)
        return fmt::format("beyond what a classifier that treats the groups alike would show, up to {:.3f} ({})",
                           g.fair_high, p);
    if (g.p <= alpha)
        return fmt::format("beyond its fair range, up to {:.3f}, but not after correction for the attributes ({})",
                           g.fair_high, p);
    return fmt::format(
        "not distinguishable from a classifier that treats the groups alike ({}); a gap up to {:.3f} is not excluded",
        p, g.high);
}

std::string words_of(const PrimaryDifference& d, const EvaluateOptions& options) {
    const double alpha = 1 - options.confidence;
    const std::string p = p_words(d.p, d.p_holm, 0);
    const char* size = d.value < 0 ? "smaller" : "larger";
    if (d.p_holm <= alpha) return fmt::format("this network's gap is {} than the other's ({})", size, p);
    const std::string open = fmt::format("beside the other's {:.3f}, a gap of {:.3f} to {:.3f} is not excluded",
                                         root(d.other), root(d.other + d.low), root(d.other + d.high));
    if (d.p <= alpha)
        return fmt::format(
            "this network's gap is {} than the other's, but not after correction for the attributes "
            "({}); {}",
            size, p, open);
    return fmt::format("no difference of the gap was detected ({}); {}", p, open);
}

std::string words_of(const Gap& g) {
    if (!g.beyond_fair()) return "within the fair range";
    return is_selection(g.key) ? "selection differs by more than the fair range; no finding of unfairness"
                               : "beyond the fair range; not corrected for the other gaps";
}

std::string words_of(const Difference& d, const EvaluateOptions& options) {
    switch (d.harm) {
        case Harm::untested:
            return "";
        case Harm::worse:
            return d.largest_loss() < options.margin ? fmt::format("worse, but not by more than {:g}", options.margin)
                                                     : "worse";
        case Harm::better:
            return "better";
        case Harm::within_margin:
            return fmt::format("not worse by more than {:g}", options.margin);
        case Harm::not_excluded:
            return fmt::format("a loss of {:.3f} is not excluded", d.largest_loss());
    }
    return "";
}

std::string summary_of(const Report& report, const Comparison* comparison, const std::vector<Finding>& findings) {
    return Summarizer{report, comparison, findings}.summary();
}

}  // namespace fp
