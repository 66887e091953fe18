#include "engine/fairness/verdict.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "engine/fairness/verdict_words.h"
#include "engine/io/words.h"

namespace fp {
namespace {

constexpr const char* kFindingNames[] = {
    "seen_in_training", "fell",           "group_fell",   "levelled_down", "gap",
    "gap_grew",         "at_chance",      "gap_shrank",   "rose",          "unchanged",
    "not_judged",       "classes_absent", "few_resamples"};

// Losses come before gains, and gains before what cannot be told.
int rank_of(FindingKind kind) { return kind <= FindingKind::at_chance ? 0 : kind <= FindingKind::rose ? 1 : 2; }

const Difference* with_key(const std::vector<Difference>& all, std::string_view key) {
    const auto found = std::ranges::find(all, key, &Difference::key);
    return found == all.end() ? nullptr : &*found;
}

std::string from_to(const Difference& d) { return fmt::format("{:.3f} to {:.3f}", d.other, d.model); }

// "(-0.083 [-0.120, -0.045], p = 0.01, Holm 0.2)"
std::string evidence(const Difference& d, const EvaluateOptions& options) {
    std::string out = fmt::format("{:+.3f}", d.value);
    if (!std::isnan(d.low)) out += fmt::format(" [{:+.3f}, {:+.3f}]", d.low, d.high);
    const std::string p = p_words(d, options.resamples);
    return "(" + out + (p.empty() ? "" : ", " + p) + ")";
}

// Where a metric's interval and p say different things, why that can be.
std::string disagreement(const Difference& d, double alpha) {
    const bool by_interval = d.low > 0 || d.high < 0, by_p = d.p <= alpha;
    if (std::isnan(d.low) || std::isnan(d.p) || by_interval == by_p) return "";
    return fmt::format("; the interval, by resampling units, {} 0, and p, by swapping the models' predictions, {}",
                       by_interval ? "excludes" : "holds", by_p ? "speaks against chance" : "does not exclude chance");
}

Finding finding_of(FindingKind kind, const Difference& d, const std::string& attribute = {}) {
    return {.kind = kind,
            .metric = d.key,
            .attribute = attribute,
            .size = std::abs(d.value),
            .before = d.other,
            .after = d.model,
            .change = d.value,
            .low = d.low,
            .high = d.high,
            .p = d.p,
            .p_holm = d.p_holm};
}

struct Judge {
    const Report& report;
    const Comparison* comparison;
    Verdict out = {};

    double alpha() const { return 1 - report.options.confidence; }

    void add(Finding finding, std::string text) {
        finding.text = std::move(text);
        out.findings.push_back(std::move(finding));
    }

    void headline(const Difference& d) {
        const std::string what = spelt(d.key);
        if (std::isnan(d.value))
            return add(finding_of(FindingKind::not_judged, d),
                       fmt::format("{}: not estimable ({})", what, reason_of(d)));
        const std::string figures = from_to(d) + " " + evidence(d, comparison->options);
        if (d.value < 0 && (d.p <= alpha() || d.high < 0))
            return add(finding_of(FindingKind::fell, d),
                       fmt::format("{} fell from {}{}{}", what, figures,
                                   d.p_holm <= alpha() ? "" : "; after correction this may be chance",
                                   disagreement(d, alpha())));
        if (d.value > 0 && d.p_holm <= alpha())
            return add(finding_of(FindingKind::rose, d), fmt::format("{} rose from {}", what, figures));
        Finding open = finding_of(FindingKind::unchanged, d);
        open.size = std::isnan(d.low) ? 0 : std::max(0.0, -d.low);
        add(open,
            fmt::format("{}: {}, {}{}{}", what,
                        std::isnan(d.p)  ? "not tested"
                        : d.p <= alpha() ? "no evidence of a change after correction"
                                         : "no evidence of a change",
                        figures, open.size > 0 ? fmt::format("; a loss of {:.3f} is not excluded", open.size) : "",
                        disagreement(d, alpha())));
    }

    // The report says why a metric is not estimable, if it is not.
    std::string reason_of(const Difference& d) const {
        const auto found = std::ranges::find(report.metrics, d.key, &Measure::key);
        return found != report.metrics.end() && std::isnan(found->value) ? found->reason : d.reason;
    }

    void gap(const Gap& g, const std::string& attribute, const Difference* change) {
        if (std::isnan(g.value) || !g.beyond_fair()) return;
        Finding f{.kind = FindingKind::gap,
                  .metric = g.key,
                  .attribute = attribute,
                  .size = g.fair == 0 ? g.value - g.fair_high : g.fair_low - g.value,
                  .case_mix = g.null == kOverAll,
                  .after = g.value,
                  .low = g.low,
                  .high = g.high,
                  .fair_low = g.fair_low,
                  .fair_high = g.fair_high,
                  .p = g.p,
                  .p_holm = g.p_holm};
        if (change) f.before = change->other;
        std::string text = fmt::format("{} is {:.3f}, beyond its fair range {:.3f} to {:.3f}",
                                       gap_words(g.key, attribute), g.value, g.fair_low, g.fair_high);
        if (const std::string p = p_words(g, report.options.resamples); !p.empty()) text += " (" + p + ")";
        if (!std::isnan(f.before)) text += fmt::format("; before {:.3f}", f.before);
        if (!(g.p_holm <= alpha())) text += "; after correction this may be chance";
        if (f.case_mix) text += "; the groups' case mix may be part of it";
        add(std::move(f), std::move(text));
    }

    void gap_change(const Difference& d, const std::string& attribute) {
        if (std::isnan(d.value) || !(d.p <= alpha())) return;
        const bool grew = growth(d) > 0, holds = d.p_holm <= alpha();
        if (!grew && !holds) return;
        const char* moved = d.fair == 0 ? (grew ? "grew" : "shrank")
                            : grew      ? "moved away from 1,"
                                        : "moved nearer to 1,";
        add(finding_of(grew ? FindingKind::gap_grew : FindingKind::gap_shrank, d, attribute),
            fmt::format("{} {} from {} {}{}", gap_words(d.key, attribute), moved, from_to(d),
                        evidence(d, comparison->options), holds ? "" : "; after correction this may be chance"));
    }

    // The differences in one metric of the groups that take part in gaps, by group.
    std::vector<std::pair<std::string, const Difference*>> of_groups(const AttributeComparison& a,
                                                                     Metric metric) const {
        std::vector<std::pair<std::string, const Difference*>> found;
        const AttributeReport& own = report.attribute(a.name);
        for (const GroupComparison& g : a.groups)
            if (const Difference* d = with_key(g.metrics, kMetricDefinitions[metric].key);
                d && !std::isnan(d->value) && own.group(g.name).in_gaps)
                found.emplace_back(g.name, d);
        return found;
    }

    void groups_that_fell(const AttributeComparison& a) {
        for (const Metric metric : kHeadline)
            for (const auto& [group, d] : of_groups(a, metric)) {
                if (!(d->high < 0)) continue;
                Finding f = finding_of(FindingKind::group_fell, *d, a.name);
                f.group = group;
                add(f, fmt::format("{} of {} {} fell from {} {}, not corrected", spelt(d->key), a.name, group,
                                   from_to(*d), evidence(*d, comparison->options)));
            }
    }

    // Where a gap shrank: whether the group that was better lost more than any other gained.
    void levelled_down(const AttributeComparison& a) {
        const auto shrank = [&](const Difference& d) { return d.p_holm <= alpha() && growth(d) < 0; };
        if (std::ranges::none_of(a.gaps, shrank)) return;
        for (const Metric metric : kHeadline) {
            const auto groups = of_groups(a, metric);
            if (groups.size() < 2) continue;
            const auto best = std::ranges::max_element(groups, {}, [](const auto& g) { return g.second->other; });
            double gain = 0;
            for (const auto& [group, d] : groups) gain = std::max(gain, d->value);
            const Difference& lost = *best->second;
            if (!(lost.high < 0) || gain >= -lost.value) continue;
            Finding f = finding_of(FindingKind::levelled_down, lost, a.name);
            f.group = best->first;
            return add(f, fmt::format("levelled down by {}: {} of {}, which was best, fell from {}; no group gained as "
                                      "much",
                                      a.name, spelt(lost.key), best->first, from_to(lost)));
        }
    }

    // Samples and groups that are in no gap.
    void left_out(const AttributeReport& a) {
        std::vector<std::string> reasons;
        if (a.unknown > 0) reasons.push_back(counted(a.unknown, "sample") + " of unknown group");
        if (a.groups_left_out > 0)
            reasons.push_back(fmt::format("{} below {} samples with {} in all", counted(a.groups_left_out, "group"),
                                          report.options.min_group_size, grouped(a.samples_left_out)));
        const int64_t left = a.no_gaps.empty() ? a.unknown + a.samples_left_out : report.samples;
        if (left == 0) return;
        std::string text = fmt::format("by {} {} of {} are judged", a.name, grouped(report.samples - left),
                                       counted(report.samples, "sample"));
        if (!a.no_gaps.empty()) text += ", as there is " + a.no_gaps;
        if (!reasons.empty()) text += fmt::format("; in no gap: {}", fmt::join(reasons, ", "));
        add({.kind = FindingKind::not_judged, .attribute = a.name, .size = double(left) / double(report.samples)},
            text);
    }

    // Classes without truth among the images, of which balanced accuracy says nothing.
    std::vector<std::string> absent_classes() const {
        std::vector<std::string> absent;
        for (size_t c = 0; c < report.classes.size(); ++c)
            if (report.class_figures.at(c).positives == 0) absent.push_back(report.classes[c]);
        return absent;
    }

    void classes_absent() {
        constexpr size_t kMost = 5;
        std::vector<std::string> names = absent_classes();
        if (names.empty()) return;
        const size_t absent = names.size(), all = report.classes.size();
        names.resize(std::min(absent, kMost));
        add({.kind = FindingKind::classes_absent, .size = double(absent) / double(all)},
            fmt::format("no image judged is of {} of {} classes ({}{})", absent, all, fmt::join(names, ", "),
                        absent > kMost ? fmt::format(" and {} more", absent - kMost) : ""));
    }

    // A constant prediction has a balanced accuracy of 1 / (classes with truth).
    void chance() {
        const auto found = std::ranges::find(report.metrics, "balanced_accuracy", &Measure::key);
        const size_t present = report.classes.size() - absent_classes().size();
        const double at = 1 / double(present);
        if (present < 2 || found == report.metrics.end() || !(found->value < 1.25 * at)) return;
        add({.kind = FindingKind::at_chance, .metric = found->key, .size = at, .after = found->value},
            fmt::format(
                "the model hardly tells the classes apart (balanced accuracy {:.3f}, chance {:.3f}), so a small "
                "gap says nothing for it",
                found->value, at));
    }

    // The tests that are corrected together, in the larger family of the report's and the comparison's.
    int64_t tests() const {
        const auto tested = [](const auto& all) {
            return std::ranges::count_if(all, [](const TestedMeasure& m) { return !std::isnan(m.p); });
        };
        int64_t of_report = 0, of_comparison = comparison ? tested(comparison->metrics) : 0;
        for (const AttributeReport& a : report.attributes) of_report += tested(a.gaps);
        if (comparison)
            for (const AttributeComparison& a : comparison->attributes) of_comparison += tested(a.gaps);
        return std::max(of_report, of_comparison);
    }

    // The least p of R resamples is 1 / (1 + R), and Holm's correction multiplies the least of K by K.
    void few_resamples() {
        const EvaluateOptions& options = comparison ? comparison->options : report.options;
        const int64_t k = tests();
        const double least = double(k) / (1.0 + options.resamples);
        if (options.resamples == 0 || least <= alpha()) return;
        add({.kind = FindingKind::few_resamples, .size = least},
            fmt::format("{} can show nothing after correction of {} (the least corrected p is {:.2g}): that takes "
                        "--resamples {} or more",
                        counted(options.resamples, "resample"), counted(k, "test"), std::min(least, 1.0),
                        int64_t(std::ceil(double(k) / alpha() - 1e-6)) - 1));
    }

    void attribute(const AttributeReport& a) {
        const AttributeComparison* changes = nullptr;
        if (comparison)
            for (const AttributeComparison& c : comparison->attributes)
                if (c.name == a.name) changes = &c;
        for (const Gap& g : a.gaps) gap(g, a.name, changes ? with_key(changes->gaps, g.key) : nullptr);
        left_out(a);
        if (!changes) return;
        for (const Difference& d : changes->gaps) gap_change(d, a.name);
        groups_that_fell(*changes);
        levelled_down(*changes);
    }

    Verdict verdict() {
        if (comparison)
            for (const Metric m : kHeadline)
                if (const Difference* d = with_key(comparison->metrics, kMetricDefinitions[m].key)) headline(*d);
        for (const AttributeReport& a : report.attributes) attribute(a);
        chance();
        classes_absent();
        few_resamples();
        std::ranges::stable_sort(out.findings, [](const Finding& a, const Finding& b) {
            return rank_of(a.kind) != rank_of(b.kind) ? rank_of(a.kind) < rank_of(b.kind) : a.size > b.size;
        });
        out.summary = summary_of(report, comparison, out.findings);
        return std::move(out);
    }
};

}  // namespace

const char* name(FindingKind kind) { return kFindingNames[int(kind)]; }

Verdict verdict_of(const Report& report, const Comparison* comparison) {
    return Judge{.report = report, .comparison = comparison}.verdict();
}

}  // namespace fp
