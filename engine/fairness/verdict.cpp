#include "engine/fairness/verdict.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "engine/fairness/gap_report.h"
#include "engine/fairness/verdict_words.h"
#include "engine/io/words.h"

namespace fp {
namespace {

constexpr const char* kFindingNames[] = {"seen_in_training",
                                         "fell",
                                         "group_fell",
                                         "levelled_down",
                                         "gap",
                                         "gap_grew",
                                         "at_chance",
                                         "gap_shrank",
                                         "rose",
                                         "not_worse",
                                         "loss_not_excluded",
                                         "group_loss_not_excluded",
                                         "gap_uncorrected",
                                         "gap_unchanged",
                                         "gaps_described",
                                         "not_judged",
                                         "classes_absent",
                                         "few_resamples"};

// Losses come before gains, and gains before what cannot be told.
int rank_of(FindingKind kind) { return kind <= FindingKind::at_chance ? 0 : kind <= FindingKind::not_worse ? 1 : 2; }

const Difference* with_key(const std::vector<Difference>& all, std::string_view key) {
    const auto found = std::ranges::find(all, key, &Difference::key);
    return found == all.end() ? nullptr : &*found;
}

std::string from_to(const Difference& d) { return fmt::format("{:.3f} to {:.3f}", d.other, d.model); }

// "(-0.083 [-0.120, -0.045], p = 0.01)"
std::string evidence(const Difference& d, const EvaluateOptions& options) {
    const std::string p = p_words(d.p, kNotEstimable, options.resamples);
    return fmt::format("({:+.3f} [{:+.3f}, {:+.3f}]{})", d.value, d.low, d.high, p.empty() ? "" : ", " + p);
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
            .p = d.p};
}

Finding finding_of(FindingKind kind, const PrimaryDifference& d, const std::string& attribute) {
    return {.kind = kind,
            .metric = kPrimaryKey,
            .attribute = attribute,
            .size = std::abs(root(d.model) - root(d.other)),
            .before = root(d.other),
            .after = root(d.model),
            .change = d.value,
            .low = d.low,
            .high = d.high,
            .p = d.p,
            .p_holm = d.p_holm};
}

FindingKind kind_of(Harm harm) {
    return harm == Harm::worse           ? FindingKind::fell
           : harm == Harm::better        ? FindingKind::rose
           : harm == Harm::within_margin ? FindingKind::not_worse
                                         : FindingKind::loss_not_excluded;
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
        if (d.harm == Harm::untested)
            return add(finding_of(FindingKind::not_judged, d),
                       fmt::format("{}: not tested, {} ({})", what, from_to(d), d.reason));
        Finding f = finding_of(kind_of(d.harm), d);
        if (d.harm == Harm::not_excluded) f.size = d.largest_loss();
        const char* moved = d.harm == Harm::worse ? " fell from" : d.harm == Harm::better ? " rose from" : ":";
        add(f, fmt::format("{}{} {} {}{}", what, moved, from_to(d), evidence(d, comparison->options),
                           d.harm == Harm::worse || d.harm == Harm::better ? "" : "; " + d.verdict));
    }

    // The report says why a metric is not estimable, if it is not.
    std::string reason_of(const Difference& d) const {
        const auto found = std::ranges::find(report.metrics, d.key, &Measure::key);
        return found != report.metrics.end() && std::isnan(found->value) ? found->reason : d.reason;
    }

    void primary(const AttributeReport& a) {
        const PrimaryGap& g = a.primary;
        if (std::isnan(g.rms_squared) && a.no_gaps.empty() && report.options.resamples > 0)
            return add({.kind = FindingKind::not_judged, .metric = kPrimaryKey, .attribute = a.name},
                       fmt::format("the gap by {}: not estimable ({})", a.name, g.reason));
        if (!(g.p <= alpha())) return;
        add({.kind = g.p_holm <= alpha() ? FindingKind::gap : FindingKind::gap_uncorrected,
             .metric = kPrimaryKey,
             .attribute = a.name,
             .size = g.rms - g.fair_high,
             .after = g.rms,
             .low = g.low,
             .high = g.high,
             .fair_high = g.fair_high,
             .p = g.p,
             .p_holm = g.p_holm},
            fmt::format("the gap by {} ({}) is {:.3f} [{:.3f}, {:.3f}]: {}", a.name, kPrimaryKey, g.rms, g.low, g.high,
                        g.verdict));
    }

    // The other gaps beyond their fair ranges: they describe.
    void described(const AttributeReport& a) {
        std::vector<std::string> gaps;
        bool selection = false;
        for (const Gap& g : a.gaps) {
            if (std::isnan(g.value) || !g.beyond_fair()) continue;
            gaps.push_back(fmt::format("{} {:.3f} ({:.3f} to {:.3f}, {})", g.key, g.value, g.fair_low, g.fair_high,
                                       p_words(g.p, kNotEstimable, report.options.resamples)));
            selection |= is_selection(g.key);
        }
        if (gaps.empty()) return;
        add({.kind = FindingKind::gaps_described, .attribute = a.name, .size = double(gaps.size())},
            fmt::format("by {} also beyond their fair ranges, not corrected and no finding of their own: {}{}", a.name,
                        fmt::join(gaps, ", "),
                        selection ? "; of dp and dpm that says that selection differs, not that it is unfair" : ""));
    }

    void primary_change(const PrimaryDifference& d, const std::string& attribute) {
        if (std::isnan(d.p)) {
            if (!std::isnan(d.value))
                add(finding_of(FindingKind::not_judged, d, attribute),
                    fmt::format("the change of the gap by {}: not tested ({})", attribute, d.reason));
            return;
        }
        const bool found = d.p <= alpha(), holds = d.p_holm <= alpha(), grew = d.value > 0;
        const FindingKind kind = found && grew ? FindingKind::gap_grew
                                 : holds       ? FindingKind::gap_shrank
                                               : FindingKind::gap_unchanged;
        add(finding_of(kind, d, attribute), fmt::format("the gap by {} ({}), {:.3f} against {:.3f}: {}", attribute,
                                                        kPrimaryKey, root(d.model), root(d.other), d.verdict));
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
        std::vector<std::string> open;
        double most = 0;
        for (const Metric metric : kHeadline)
            for (const auto& [group, d] : of_groups(a, metric)) {
                if (d->harm == Harm::not_excluded) {
                    open.push_back(fmt::format("{} of {} {:.3f}", spelt(d->key), group, d->largest_loss()));
                    most = std::max(most, d->largest_loss());
                }
                if (d->harm != Harm::worse) continue;
                Finding f = finding_of(FindingKind::group_fell, *d, a.name);
                f.group = group;
                add(f, fmt::format("{} of {} {} fell from {} {}", spelt(d->key), a.name, group, from_to(*d),
                                   evidence(*d, comparison->options)));
            }
        if (!open.empty())
            add({.kind = FindingKind::group_loss_not_excluded, .attribute = a.name, .size = most},
                fmt::format("by {} a loss is not excluded: up to {}", a.name, fmt::join(open, ", ")));
    }

    // Where the primary gap shrank: whether the group that was best lost.
    void levelled_down(const AttributeComparison& a) {
        if (!(a.primary.p <= alpha() && a.primary.value < 0)) return;
        for (const Metric metric : kHeadline) {
            const auto groups = of_groups(a, metric);
            if (groups.size() < 2) continue;
            const auto best = std::ranges::max_element(groups, {}, [](const auto& g) { return g.second->other; });
            const auto most = std::ranges::max_element(groups, {}, [](const auto& g) { return g.second->value; });
            const Difference& lost = *best->second;
            if (lost.harm != Harm::worse) continue;
            Finding f = finding_of(FindingKind::levelled_down, lost, a.name);
            f.group = best->first;
            return add(f, fmt::format("levelled down by {}: {} of {}, which was best, fell from {}; {}", a.name,
                                      spelt(lost.key), best->first, from_to(lost),
                                      most->second->value > 0
                                          ? fmt::format("{} rose from {}", most->first, from_to(*most->second))
                                          : "no group rose"));
        }
    }

    // Samples and groups that are in no gap.
    void left_out(const AttributeReport& a) {
        std::vector<std::string> reasons;
        if (a.unknown > 0) reasons.push_back(counted(a.unknown, "sample") + " of unknown group");
        if (a.groups_left_out > 0)
            reasons.push_back(fmt::format("{} below {}, with {} in all", counted(a.groups_left_out, "group"),
                                          counted(report.options.min_group_size, "unit"),
                                          counted(a.samples_left_out, "sample")));
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

    // The least p of R resamples is 1 / (1 + R), and Holm's correction multiplies the least of K by K.
    void few_resamples() {
        const int64_t k =
            std::ranges::count_if(report.attributes, [](const AttributeReport& a) { return !std::isnan(a.primary.p); });
        const double least = double(k) / (1.0 + report.options.resamples);
        if (report.options.resamples == 0 || least <= alpha()) return;
        add({.kind = FindingKind::few_resamples, .size = least},
            fmt::format("{} can show no gap after correction over {} (the least corrected p is {:.2g}): that takes "
                        "--resamples {} or more",
                        counted(report.options.resamples, "resample"), counted(k, "attribute"), std::min(least, 1.0),
                        int64_t(std::ceil(double(k) / alpha() - 1e-6)) - 1));
    }

    void attribute(const AttributeReport& a) {
        primary(a);
        described(a);
        left_out(a);
        if (!comparison) return;
        const auto changes = std::ranges::find(comparison->attributes, a.name, &AttributeComparison::name);
        if (changes == comparison->attributes.end()) return;
        primary_change(changes->primary, a.name);
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
