// The text of a comparison: all of it, or what it comes to.
#include <algorithm>
#include <functional>

#include "engine/fairness/primary_gap.h"
#include "engine/fairness/verdict_words.h"
#include "engine/report/evaluation_rows.h"
#include "engine/report/text_rows.h"
#include "kernels/error.h"

namespace fp {
namespace {

std::string p_text(const Difference& d) { return std::isnan(d.p) ? "" : number(d.p); }

std::string change_row(const Difference& d) {
    if (std::isnan(d.value)) return row(d.key, fmt::format("n/a ({})", d.reason));
    return row(d.key, fmt::format("{:<8}{:<8}{:<9}{:<20}{}", number(d.model), number(d.other),
                                  fmt::format("{:+.4f}", d.value), range(d.low, d.high), p_text(d)));
}

std::string gap_change_row(const Difference& d) {
    std::string out = change_row(d);
    if (!std::isnan(d.rms_squared))
        out += aside(fmt::format("change of rms^2 {:+.5f} {}", d.rms_squared,
                                 std::isnan(d.rms_squared_low)
                                     ? ""
                                     : fmt::format("[{:+.5f}, {:+.5f}]", d.rms_squared_low, d.rms_squared_high)));
    return out;
}

std::string changes_heading(const std::string& what) {
    return row(what, fmt::format("{:<8}{:<8}{:<9}{:<20}{}", "model", "other", "change", "interval", "p"));
}

// Of the groups whose accuracy fell most, and of the largest.
std::string group_changes(const AttributeComparison& a) {
    std::vector<double> change, samples;
    for (const GroupComparison& g : a.groups) {
        const auto d = std::ranges::find(g.metrics, "accuracy", &Difference::key);
        change.push_back(d == g.metrics.end() ? kNotEstimable : d->value);
        samples.push_back(double(g.samples));
    }
    const std::vector<size_t> rows = shown_rows(a.groups.size(), change, samples);
    std::string out;
    for (const size_t i : rows) {
        out += row(a.groups[i].name, "n=" + grouped(a.groups[i].samples));
        for (const Difference& d : a.groups[i].metrics) out += change_row(d);
    }
    return out + more(a.groups.size(), rows.size(), "group");
}

// Each verdict once, with the metrics that have it.
std::string verdicts(const std::vector<Difference>& differences) {
    std::string out;
    std::vector<std::string> of;
    for (size_t i = 0; i < differences.size(); ++i) {
        const std::string& verdict = differences[i].verdict;
        if (!verdict.empty()) of.push_back(spelt(differences[i].key));
        if (of.empty() || (i + 1 < differences.size() && differences[i + 1].verdict == verdict)) continue;
        out += wrapped(fmt::format("{}: {}", fmt::join(of, ", "), verdict));
        of.clear();
    }
    return out;
}

std::string primary_change(const PrimaryDifference& d) {
    if (std::isnan(d.value)) return row(kPrimaryKey, fmt::format("n/a ({})", d.reason));
    return row(kPrimaryKey, fmt::format("{:<8}{:<8}", number(root(d.model)), number(root(d.other)))) +
           aside(fmt::format("change of rms^2 {:+.5f} [{:+.5f}, {:+.5f}]", d.value, d.low, d.high)) +
           wrapped(d.verdict);
}

// ---- In brief

constexpr size_t kMostFindings = 6, kMostGaps = 6, kMostAttributes = 8;
constexpr size_t kGapName = 28;

// Of the summary's own sentences no second copy, and no lists.
bool is_brief(const Finding& f) { return f.kind == FindingKind::group_fell || f.kind == FindingKind::levelled_down; }

std::string brief_findings(const Verdict& v) {
    std::string out;
    size_t shown = 0;
    for (const Finding& f : v.findings)
        if (is_brief(f) && shown++ < kMostFindings) out += item(f.text);
    return shown == 0 ? "" : out + more(shown, std::min(shown, kMostFindings), "finding") + "\n";
}

std::string headline_changes(const Comparison& c) {
    std::string out = changes_heading("model - other");
    for (const Metric m : kHeadline)
        for (const Difference& d : c.metrics)
            if (d.key == kMetricDefinitions[m].key) out += change_row(d);
    return out;
}

// The gap that decides, a line per attribute.
std::string brief_primary(const AttributeComparison& a) {
    const PrimaryDifference& d = a.primary;
    if (!a.no_gaps.empty()) return row(a.name, "no gaps: " + a.no_gaps);
    if (std::isnan(d.value)) return row(a.name, fmt::format("n/a ({})", d.reason));
    const std::string change = std::isnan(d.low) ? fmt::format("{:+.5f}", d.value)
                                                 : fmt::format("{:+.5f} [{:+.5f}, {:+.5f}]", d.value, d.low, d.high);
    return aside(fmt::format("{}{:<8}{:<8}{:<32}{}", cell(a.name, kName), number(root(d.model)), number(root(d.other)),
                             change, std::isnan(d.p_holm) ? "" : number(d.p_holm)),
                 0);
}

std::string brief_primaries(const Comparison& c) {
    if (c.attributes.empty()) return "";
    const size_t shown = std::min(c.attributes.size(), kMostAttributes);
    std::string out = "\n" + row("gap (" + std::string(kPrimaryKey) + ")",
                                 fmt::format("{:<8}{:<8}{:<32}{}", "model", "other", "change of rms^2", "p (Holm)"));
    for (size_t i = 0; i < shown; ++i) out += brief_primary(c.attributes[i]);
    return out + more(c.attributes.size(), shown, "attribute");
}

// A gap of this model beside its fair range and that of the other model.
struct PlacedGap {
    std::string attribute;
    const Gap* gap;
    const Difference* change;  // null: none
    // How far on the unfair side of its fair range; without one, from its fair value.
    double beyond() const {
        if (std::isnan(gap->fair_high)) return std::abs(gap->value - gap->fair);
        return gap->fair == 0 ? gap->value - gap->fair_high : gap->fair_low - gap->value;
    }
};

std::vector<PlacedGap> placed_gaps(const Evaluation& e) {
    std::vector<PlacedGap> out;
    for (const AttributeReport& a : e.report.attributes) {
        const auto compared = std::ranges::find(e.comparison->attributes, a.name, &AttributeComparison::name);
        for (const Gap& g : a.gaps) {
            if (std::isnan(g.value)) continue;
            const Difference* change = nullptr;
            if (compared != e.comparison->attributes.end())
                for (const Difference& d : compared->gaps)
                    if (d.key == g.key) change = &d;
            out.push_back({.attribute = a.name, .gap = &g, .change = change});
        }
    }
    std::ranges::stable_sort(out, std::greater(), &PlacedGap::beyond);
    return out;
}

std::string largest_gaps(const Evaluation& e) {
    const std::vector<PlacedGap> gaps = placed_gaps(e);
    if (gaps.empty()) return "";
    std::string out = "\n" + fmt::format("{}{:<8}{:<19}{:<8}{}\n", cell("furthest beyond fair", kGapName), "model",
                                         "fair range", "other", "change");
    const size_t shown = std::min(gaps.size(), kMostGaps);
    for (size_t i = 0; i < shown; ++i) {
        const auto& [attribute, gap, change] = gaps[i];
        const std::string other = change ? number(change->other) : "";
        const std::string name = attribute + " " + gap->key;
        const bool fits = columns_of(name) < kGapName;
        if (!fits) out += aside(name, 0);  // a line of its own, so that no two look alike
        out += aside(fmt::format("{}{:<8}{:<19}{:<8}{}", cell(fits ? name : "", kGapName), number(gap->value),
                                 range(gap->fair_low, gap->fair_high), other,
                                 change && !std::isnan(change->value) ? fmt::format("{:+.4f}", change->value) : ""),
                     0);
    }
    return out + more(gaps.size(), shown, "gap");
}

}  // namespace

std::string to_text(const Comparison& comparison) {
    std::string out = changes_heading("model - other");
    for (const Difference& d : comparison.metrics) out += change_row(d);
    out += verdicts(comparison.metrics);
    for (const auto& a : comparison.attributes) {
        out += "\n" + changes_heading(a.name);
        out += group_changes(a);
        if (!a.no_gaps.empty()) out += aside("no gaps: " + a.no_gaps, 0);
        if (a.no_gaps.empty()) out += primary_change(a.primary);
        for (const Difference& d : a.gaps) out += gap_change_row(d);
        for (const Measure& m : a.fate) out += row(m, "");
        if (!a.fate.empty()) out += wrapped(kFateWarning);
        if (!a.fate_note.empty()) out += wrapped(a.fate_note);
    }
    return out;
}

std::string brief_text(const Evaluation& e, const std::string& whole) {
    FP_CHECK(e.comparison, "an evaluation of one model has no brief text");
    int64_t groups = 0;
    for (const AttributeComparison& a : e.comparison->attributes) groups += int64_t(a.groups.size());
    return wrapped(e.verdict.summary, 0) + "\n" + brief_findings(e.verdict) + judged_text(e) + samples_text(e.report) +
           "\n" + headline_changes(*e.comparison) + brief_primaries(*e.comparison) + largest_gaps(e) + "\n" +
           wrapped(fmt::format(
                       "The whole text has {} lines: also other metrics and gaps{}, their intervals and formulas. {}.",
                       std::ranges::count(to_text(e), '\n'),
                       groups > 0 ? ", the figures of " + counted(groups, "group") : "", whole),
                   0);
}

std::string brief_text(const AtThreshold& at, const std::string& whole) {
    return threshold_text(at.threshold) + "\n" + brief_text(at.evaluation, whole);
}

}  // namespace fp
