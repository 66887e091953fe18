#include "engine/train/selection.h"

#include <algorithm>
#include <optional>

#include "engine/fairness/metrics.h"
#include "engine/fairness/primary_gap.h"
#include "engine/fairness/threshold.h"
#include "engine/io/columns.h"
#include "kernels/error.h"

namespace fp {
namespace {

// KIND:ATTRIBUTE or KIND:WHAT:ATTRIBUTE; an attribute may hold colons itself.
struct ByAttribute {
    std::string kind, what = {}, attribute;
};
ByAttribute by_attribute_of(const std::string& select,
                            const std::vector<AttributeReport>& attributes,
                            const std::string& asked) {
    const auto known = [&](const std::string& name) {
        return std::ranges::find(attributes, name, &AttributeReport::name) != attributes.end();
    };
    const size_t colon = select.find(':'), second = select.find(':', colon + 1);
    ByAttribute out{.kind = select.substr(0, colon), .attribute = select.substr(colon + 1)};
    if (!known(out.attribute) && second != select.npos && (out.kind == "worst" || out.kind == "operating"))
        out = {out.kind, select.substr(colon + 1, second - colon - 1), select.substr(second + 1)};
    FP_REQUIRE(known(out.attribute), Exit::usage, asked, ": ", out.attribute, " is no --attribute of this run");
    FP_REQUIRE(out.kind != "operating" || !out.what.empty(), Exit::usage, asked,
               ": operating:CLASS:ATTRIBUTE is wanted");
    return out;
}

double worst_of(const AttributeReport& a, const std::string& metric, const std::string& asked) {
    std::vector<std::string> keys;
    for (int m = 0; m < kSensitivity; ++m) keys.push_back(kMetricDefinitions[size_t(m)].key);
    const int m = index_of(keys, metric);
    FP_REQUIRE(m >= 0, Exit::usage, asked, ": no metric is called ", metric, "; there are ", list(keys));
    for (const WorstGroup& w : a.worst)
        if (w.measure.key == metric)
            return kMetricDefinitions[size_t(m)].lower_is_better ? -w.measure.value : w.measure.value;
    return kNotEstimable;
}

double gap_of(const AttributeReport& a, const std::string& key, const std::string& asked) {
    const auto all = gap_definitions();
    FP_REQUIRE(std::ranges::find(all, key, &GapDefinition::key) != all.end(), Exit::usage, asked, ": no gap is called ",
               key);
    for (const Gap& g : a.gaps)
        if (g.key == key) return g.value;
    return kNotEstimable;
}

// Over the groups that take part in gaps.
double largest_group_loss(const Predictions& p, const std::string& attribute) {
    const Cohort cohort = by_attribute(p, attribute, EvaluateOptions{}.min_group_size);
    double largest = kNotEstimable;
    for (const int g : cohort.compared) {
        std::vector<int64_t> rows;
        for (int64_t i = 0; i < p.size(); ++i)
            if (cohort.group_of_case[size_t(i)] == g) rows.push_back(i);
        const double loss = mean_loss(rows_of(p, rows));
        if (!(loss <= largest)) largest = loss;
    }
    return largest;
}

// The sensitivity gap at one threshold for all. NaN where no threshold has the specificity.
double operating_gap(const Predictions& p, const ByAttribute& by, const std::string& asked) {
    const size_t at = by.what.find('@');
    const std::string positive = by.what.substr(0, at);
    const auto specificity = at == by.what.npos ? OperatingPoint{}.specificity : parse_number(by.what.substr(at + 1));
    FP_REQUIRE(specificity && *specificity >= 0 && *specificity <= 1, Exit::usage, asked, ": ", by.what.substr(at + 1),
               " is no specificity of 0 to 1");
    FP_REQUIRE(index_of(p.classes, positive) >= 0, Exit::usage, asked, ": no class ", positive, "; there are ",
               list(p.classes));
    std::optional<Threshold> threshold;
    try {
        threshold = choose_threshold(p, positive, {.kind = ThresholdRule::Kind::specificity, .value = *specificity});
    } catch (const Error& error) {
        if (error.exit != Exit::data) throw;
        return kNotEstimable;
    }
    const Report at_point =
        evaluate(at_threshold(p, positive, threshold->value), {by.attribute}, {.resamples = 0, .positive = positive});
    return gap_of(at_point.attributes[0], kMetricDefinitions[kSensitivity].key, asked);
}

}  // namespace

double selection_value(const Predictions& p,
                       const std::string& select,
                       const std::vector<std::string>& attributes,
                       const std::string& option,
                       const Steps& progress) {
    const std::string asked = option + " " + select;
    const Report report = evaluate(p, attributes, {.resamples = 0});
    if (select == "loss") return -mean_loss(p);
    if (select.find(':') != select.npos) {
        const ByAttribute by = by_attribute_of(select, report.attributes, asked);
        const AttributeReport& a = report.attribute(by.attribute);
        // rms^2 can be negative, so it is compared itself and not its root. What noise adds to it takes a bootstrap.
        if (by.kind == "rms") return -primary_rms_squared(p, a.name, {.resamples = 200, .progress = progress});
        if (by.kind == "worst") return worst_of(a, by.what.empty() ? "accuracy" : by.what, asked);
        if (by.kind == "minimax") return -largest_group_loss(p, a.name);
        if (by.kind == "operating") return -operating_gap(p, by, asked);
        return -gap_of(a, by.kind, asked);
    }
    for (size_t m = 0; m < report.metrics.size(); ++m)
        if (report.metrics[m].key == select)
            return kMetricDefinitions[m].lower_is_better ? -report.metrics[m].value : report.metrics[m].value;
    fail_with(Exit::usage, asked, " is unknown: ", selection_words());
}

void check_selection(const std::string& select,
                     const std::vector<std::string>& attributes,
                     const ImageData& data,
                     const std::string& option) {
    Predictions blind = no_predictions(data);
    const std::vector<float> even(data.set.classes.size(), 1 / float(data.set.classes.size()));
    for (const int64_t s : members(data.set, Split::val)) add_prediction(blind, data, s, even.data());
    selection_value(blind, select, attributes, option);
}

std::string selection_words() {
    std::string out = "loss, ";
    for (int m = 0; m < kSensitivity; ++m) out += std::string(kMetricDefinitions[m].key) + ", ";
    return out +
           "rms:ATTRIBUTE, worst:ATTRIBUTE, worst:METRIC:ATTRIBUTE, minimax:ATTRIBUTE, operating:CLASS:ATTRIBUTE or "
           "GAP:ATTRIBUTE";
}

}  // namespace fp
