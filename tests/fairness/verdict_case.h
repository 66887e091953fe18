// Reports and comparisons of two models with the changes that a test of verdicts names.
#pragma once

#include <algorithm>
#include <stdexcept>

#include "engine/fairness/primary_gap.h"
#include "engine/fairness/verdict.h"
#include "engine/fairness/verdict_words.h"

namespace fp::testing::verdicts {

struct Change {
    const char* key;
    double before, after;
    double low = kNotEstimable, high = kNotEstimable;
    double p = kNotEstimable;
};

inline Difference difference(const Change& c, const EvaluateOptions& options) {
    Difference d;
    d.key = c.key;
    d.other = c.before;
    d.model = c.after;
    d.value = c.after - c.before;
    d.p = c.p;
    d.low = c.low;
    d.high = c.high;
    if (!std::isnan(c.low))
        d.harm = c.high < 0                ? Harm::worse
                 : c.low > 0               ? Harm::better
                 : c.low > -options.margin ? Harm::within_margin
                                           : Harm::not_excluded;
    d.verdict = words_of(d, options);
    return d;
}

// The primary gap of the model, up to `fair_high` by chance, and its change from `before` with p.
struct Primary {
    double before, after, fair_high;
    double p_gap = 1, p_change = 1, p_holm_factor = 1;
};

// Two models on 400 images of eight classes, and the changes that a test names.
struct Case {
    Report report;
    Comparison comparison;

    explicit Case(const std::vector<Change>& metrics) {
        report.samples = comparison.samples = 400;
        for (const char c : std::string_view("abcdefgh")) {
            report.classes.emplace_back(1, c);
            report.class_figures.emplace_back().positives = 50;
        }
        for (const Change& c : metrics) {
            report.metrics.push_back({.key = c.key, .value = c.after});
            comparison.metrics.push_back(difference(c, comparison.options));
        }
    }

    // A group of 200 images with a metric of it in both models.
    Case& group(const std::string& attribute, const std::string& name, const Change& metric) {
        auto [a, c] = attributes(attribute);
        GroupReport& g = a->groups.emplace_back();
        g.name = name;
        g.samples = 200;
        g.metrics = {{.key = "accuracy", .value = metric.after}};
        c->groups.push_back({.name = name, .samples = 200, .metrics = {difference(metric, comparison.options)}});
        return *this;
    }

    Case& primary(const std::string& attribute, const Primary& given) {
        auto [a, c] = attributes(attribute);
        const auto holm = [&](double p) { return std::min(1.0, p * given.p_holm_factor); };
        PrimaryGap& g = a->primary;
        g.rms = given.after;
        g.rms_squared = given.after * given.after;
        g.low = std::max(0.0, given.after - .02);
        g.high = given.after + .02;
        g.fair_high = given.fair_high;
        g.p = given.p_gap;
        g.p_holm = holm(g.p);
        g.verdict = words_of(g, report.options);
        PrimaryDifference& d = c->primary;
        d.model = g.rms_squared;
        d.other = given.before * given.before;
        d.value = d.model - d.other;
        d.sd = .002;
        d.low = d.value - .004;
        d.high = d.value + .004;
        d.p = given.p_change;
        d.p_holm = holm(d.p);
        d.verdict = words_of(d, report.options);
        return *this;
    }

    // A descriptive gap.
    Case& gap(const std::string& attribute,
              const char* key,
              double value,
              double fair_low,
              double fair_high,
              double fair = 0) {
        Gap g;
        g.key = key;
        g.value = value;
        g.fair = fair;
        g.fair_low = fair_low;
        g.fair_high = fair_high;
        g.p = .012;
        attributes(attribute).first->gaps.push_back(g);
        return *this;
    }

    Verdict verdict() const { return verdict_of(report, &comparison); }

private:
    std::pair<AttributeReport*, AttributeComparison*> attributes(const std::string& name) {
        if (report.attributes.empty() || report.attributes.back().name != name) {
            report.attributes.emplace_back().name = name;
            comparison.attributes.emplace_back().name = name;
        }
        return {&report.attributes.back(), &comparison.attributes.back()};
    }
};

// "KIND METRIC ATTRIBUTE" of each finding.
inline std::vector<std::string> kinds(const Verdict& v) {
    std::vector<std::string> out;
    for (const Finding& f : v.findings)
        out.push_back(name(f.kind) + (f.metric.empty() ? "" : " " + f.metric) +
                      (f.attribute.empty() ? "" : " " + f.attribute));
    return out;
}

inline const Finding& finding(const Verdict& v, FindingKind kind, const std::string& metric) {
    const auto found =
        std::ranges::find_if(v.findings, [&](const Finding& f) { return f.kind == kind && f.metric == metric; });
    if (found == v.findings.end()) throw std::runtime_error("no finding of " + metric);
    return *found;
}

}  // namespace fp::testing::verdicts
