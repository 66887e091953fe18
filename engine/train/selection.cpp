#include "engine/train/selection.h"

#include <algorithm>

#include "engine/fairness/metrics.h"
#include "engine/fairness/primary_gap.h"
#include "kernels/error.h"

namespace fp {
namespace {

double of_attribute(const AttributeReport& a, const std::string& key, const std::string& asked) {
    if (key == "worst")
        for (const WorstGroup& w : a.worst)
            if (w.measure.key == "accuracy") return w.measure.value;
    for (const Gap& g : a.gaps)
        if (g.key == key) return -g.value;
    FP_REQUIRE(a.gaps.empty(), Exit::usage, asked, ": no gap is called ", key);
    return kNotEstimable;
}

}  // namespace

double selection_value(const Predictions& p,
                       const std::string& select,
                       const std::vector<std::string>& attributes,
                       const std::string& option,
                       const std::function<void(int64_t done, int64_t all)>& progress) {
    const std::string asked = option + " " + select;
    const Report report = evaluate(p, attributes, {.resamples = 0});
    if (select == "loss") return -mean_loss(p);
    if (const size_t colon = select.find(':'); colon != std::string::npos) {
        const auto a = std::ranges::find(report.attributes, select.substr(colon + 1), &AttributeReport::name);
        FP_REQUIRE(a != report.attributes.end(), Exit::usage, asked, ": ", select.substr(colon + 1),
                   " is no --attribute of this run");
        // rms^2 can be negative, so it is compared itself and not its root. What noise adds to it takes a bootstrap.
        if (select.starts_with("rms:"))
            return -primary_rms_squared(p, a->name, {.resamples = 200, .progress = progress});
        return of_attribute(*a, select.substr(0, colon), asked);
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
    return out + "rms:ATTRIBUTE, worst:ATTRIBUTE or GAP:ATTRIBUTE";
}

}  // namespace fp
