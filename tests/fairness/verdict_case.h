// Reports and comparisons of two models with the changes that a test of verdicts names.
#pragma once

#include <algorithm>
#include <stdexcept>

#include "engine/fairness/verdict.h"

namespace fp::testing::verdicts {

struct Change {
    const char* key;
    double before, after;
    double p = 1, p_holm = 1;
    double low = kNotEstimable, high = kNotEstimable;
};

inline Difference difference(const Change& c, double fair = kNotEstimable) {
    Difference d;
    d.key = c.key;
    d.other = c.before;
    d.model = c.after;
    d.value = c.after - c.before;
    d.p = c.p;
    d.p_holm = c.p_holm;
    d.low = c.low;
    d.high = c.high;
    d.fair = fair;
    return d;
}

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
            comparison.metrics.push_back(difference(c));
        }
    }

    // A group of 200 images with its accuracy in both models.
    Case& group(const std::string& attribute, const std::string& name, const Change& accuracy) {
        auto [a, c] = attributes(attribute);
        GroupReport& g = a->groups.emplace_back();
        g.name = name;
        g.samples = 200;
        g.metrics = {{.key = "accuracy", .value = accuracy.after}};
        c->groups.push_back({.name = name, .samples = 200, .metrics = {difference(accuracy)}});
        return *this;
    }

    Case& gap(const std::string& attribute,
              const Change& change,
              double fair_low,
              double fair_high,
              double p_holm = 1,
              double fair = 0,
              const char* null = kWithinDiagnosis) {
        auto [a, c] = attributes(attribute);
        Gap g;
        g.key = change.key;
        g.value = change.after;
        g.fair = fair;
        g.fair_low = fair_low;
        g.fair_high = fair_high;
        g.p = g.p_holm = p_holm;
        g.null = null;
        a->gaps.push_back(g);
        c->gaps.push_back(difference(change, fair));
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
