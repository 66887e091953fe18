#include "engine/fairness/summary.h"

#include <algorithm>
#include <limits>

#include "engine/fairness/evaluate.h"
#include "kernels/error.h"

namespace fp {
namespace {

std::vector<Figure> figures_of(const std::vector<Measure>& measures) {
    std::vector<Figure> out;
    for (const Measure& m : measures) out.push_back({m.key, m.value});
    return out;
}

const Figure* find(const std::vector<Figure>& figures, std::string_view key) {
    const auto found = std::find_if(figures.begin(), figures.end(), [&](const Figure& f) { return f.key == key; });
    return found == figures.end() ? nullptr : &*found;
}

}  // namespace

double AttributeSummary::gap(std::string_view key) const {
    const Figure* found = find(gaps, key);
    return found ? found->value : std::numeric_limits<double>::quiet_NaN();
}

double Summary::metric(std::string_view key) const {
    const Figure* found = find(metrics, key);
    FP_CHECK(found, "no metric is called ", key);
    return found->value;
}

const AttributeSummary* Summary::attribute(std::string_view name) const {
    const auto found =
        std::find_if(attributes.begin(), attributes.end(), [&](const AttributeSummary& a) { return a.name == name; });
    return found == attributes.end() ? nullptr : &*found;
}

Summary summarize(const Predictions& p, const std::vector<std::string>& attributes) {
    const Report report = evaluate(p, attributes, {.resamples = 0});
    Summary out{.samples = report.samples, .loss = mean_loss(p), .metrics = figures_of(report.metrics)};
    for (const AttributeReport& a : report.attributes) {
        AttributeSummary one{.name = a.name, .groups = {}, .gaps = {}};
        for (const GroupReport& g : a.groups) one.groups.push_back({g.name, g.samples, figures_of(g.metrics)});
        for (const Gap& g : a.gaps) one.gaps.push_back({g.key, g.value});
        out.attributes.push_back(std::move(one));
    }
    return out;
}

}  // namespace fp
