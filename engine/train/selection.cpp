#include "engine/train/selection.h"

#include "engine/fairness/evaluate.h"
#include "kernels/error.h"

namespace fp {
namespace {

double of_attribute(const AttributeReport& a, const std::string& key, const std::string& select) {
    // rms^2 can be negative, so it is compared itself and not its root.
    if (key == "rms") return a.no_gaps.empty() ? -a.gap("eodd_mean").rms_squared : kNotEstimable;
    if (key == "worst")
        for (const WorstGroup& w : a.worst)
            if (w.measure.key == "accuracy") return w.measure.value;
    for (const Gap& g : a.gaps)
        if (g.key == key) return -g.value;
    if (a.gaps.empty()) return kNotEstimable;
    fail_with(Exit::usage, "--select ", select, ": no gap is called ", key);
}

}  // namespace

double selection_value(const Predictions& p, const std::string& select, const std::vector<std::string>& attributes) {
    // What noise adds to an rms gap is estimated by a bootstrap; all else needs no resampling.
    const int resamples = select.starts_with("rms:") ? 200 : 0;
    const Report report = evaluate(p, attributes, {.resamples = resamples});
    if (select == "loss") return -mean_loss(p);
    if (const size_t colon = select.find(':'); colon != std::string::npos) {
        const std::string key = select.substr(0, colon), attribute = select.substr(colon + 1);
        for (const AttributeReport& a : report.attributes)
            if (a.name == attribute) return of_attribute(a, key, select);
        fail_with(Exit::usage, "--select ", select, ": ", attribute, " is no --attribute of this run");
    }
    for (const Measure& m : report.metrics)
        if (m.key == select) return m.value;
    fail_with(Exit::usage, "--select ", select,
              " is unknown: loss, accuracy, balanced_accuracy, macro_f1, macro_auc, "
              "rms:ATTRIBUTE, worst:ATTRIBUTE or GAP:ATTRIBUTE");
}

}  // namespace fp
